"""What the service is connected to, a module each.

Each module offers `Settings`, its variables, and `run`, a context manager that connects the service,
registers checks and observers, and disconnects it again. `app.py` enters them in order.
"""
