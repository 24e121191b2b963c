# shellcheck shell=bash disable=SC2030,SC2031 # what a subshell exports is meant for it alone
# Give this shell a container engine that can build $DOCKERFILE (default: ./Dockerfile):
#   DOCKERFILE=path/Dockerfile; . .ci/containers.sh DIR
# With docker, or a podman that gets the base images, nothing is done. Otherwise, as root on Debian, podman is
# set up inside DIR with stand-ins for the base images, made from Debian and PyPI packages: good for testing the
# Dockerfile and the program, not for publishing. Exports IMAGE_BUILD_FLAGS (shell-quoted, for `podman build`) and
# the three CONTAINERS_* files podman reads. DIR makes the next run quick; umount DIR/root/overlay before deleting it.

_ctr_say() { printf 'containers: %s (%ss)\n' "$1" "$((SECONDS - _ctr_start))"; }
_ctr_fail() { printf 'containers: %s\n' "$1" >&2; return 1; }

# What the tools say may name the package index: it goes to a private log, never to the screen.
_ctr_quiet() { (umask 077; "$@" >>"$_ctr_log" 2>&1 </dev/null); }

# The base images as the Dockerfile writes them; stage names have no tag and are skipped.
_ctr_bases() { sed -nE 's/^\s*FROM\s+(--platform=\S+\s+)?(\S+:\S+).*/\2/Ip' "$DOCKERFILE" | sort -u; }

# Is there an engine that needs no help? Every question has a time limit: a registry may be a black hole.
_ctr_ready() {
  command -v docker && timeout 20 docker info && return 0
  command -v podman && timeout 20 podman info || return 1
  for ref in "$@"; do
    timeout 5 podman image exists "$ref" || timeout 20 podman pull -q "$ref" || return 1
  done
} >/dev/null 2>&1 </dev/null

_ctr_packages() {
  command -v podman runc conmon mmdebstrap iptables /usr/lib/podman/netavark | wc -l | grep -qx 6 ||
    { _ctr_quiet apt-get update -q && _ctr_quiet env DEBIAN_FRONTEND=noninteractive apt-get install -qy \
      --no-install-recommends podman runc conmon netavark iptables uidmap mmdebstrap ca-certificates; }
}

# vfs because overlay cannot lie on overlay; runc because Debian 12's crun refuses a hybrid cgroup mount; limits
# because podman asks for more than a machine without CAP_SYS_RESOURCE may set; no systemd because there may be none.
_ctr_configure() {
  local driver=overlay
  [ "$(stat -fc %T "$_ctr_dir")" != overlayfs ] || driver=vfs
  export CONTAINERS_STORAGE_CONF=$_ctr_dir/storage.conf CONTAINERS_CONF=$_ctr_dir/containers.conf
  export CONTAINERS_REGISTRIES_CONF=$_ctr_dir/registries.conf
  echo 'short-name-mode = "disabled"' >"$CONTAINERS_REGISTRIES_CONF"
  printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n' \
    "$driver" "$_ctr_dir"/{root,run} >"$CONTAINERS_STORAGE_CONF"
  printf '%s\n' >"$CONTAINERS_CONF" \
    '[containers]' 'default_ulimits = ["nofile=4096:4096", "nproc=1024:1024"]' 'log_driver = "k8s-file"' \
    '[engine]' 'runtime = "runc"' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' \
    "tmp_dir = \"$_ctr_dir/tmp\"" '[network]' 'network_backend = "netavark"'
  _ctr_quiet timeout 60 podman info
}

# The host's way to the package index, mounted in RUN steps: an image gets an empty file from it at most.
_ctr_network() (
  umask 077
  rm -f "$_ctr_dir"/{ca.crt,uv.toml} # an older file would keep its mode
  { echo 'system-certs = true'
    [ -z "$_ctr_index" ] || printf "[[index]]\nurl = '%s'\ndefault = true\n" "$_ctr_index"; } >"$_ctr_dir/uv.toml"
  cat -- "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" >"$_ctr_dir/ca.crt"
) 2>/dev/null

# Debian's python where the official image has its own; CONTAINERS_SUITE=forky has a newer one. $1: image
_ctr_make_python() {
  local mirror tar=$_ctr_dir/base.tar # a file, not a pipe: half an archive must not become an image
  mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true)
  [ "$mirror" ] || return 1
  # shellcheck disable=SC2016 # $1 is the new root, for the shell of mmdebstrap
  _ctr_quiet mmdebstrap --variant=minbase --include=ca-certificates,netbase,tzdata,python3 \
    --dpkgopt=path-exclude=/usr/share/{doc,man}/'*' --aptopt='Acquire::Check-Valid-Until "false"' \
    --customize-hook='v=$(readlink "$1/usr/bin/python3") && rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED &&
      for name in python python3 "$v"; do ln -sf "/usr/bin/$v" "$1/usr/local/bin/$name"; done' \
    "${CONTAINERS_SUITE:-trixie}" "$tar" "$mirror" &&
    _ctr_quiet podman import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' "$tar" "$1" && rm -f "$tar"
}

# The wheel of uv holds the same programs as its image. $1: image
_ctr_make_uv() (
  [ -z "$_ctr_index" ] || export PIP_INDEX_URL="$_ctr_index" UV_DEFAULT_INDEX="$_ctr_index" # not for `ps` to show
  into=(install -q --no-deps --only-binary :all: --target "$_ctr_dir/uv" "uv==${1##*:}")
  { rm -rf "$_ctr_dir/uv" && _ctr_quiet python3 -m pip "${into[@]}" || _ctr_quiet uv pip "${into[@]}"; } &&
    tar -C "$_ctr_dir/uv/bin" -cf "$_ctr_dir/uv.tar" . &&
    _ctr_quiet podman import --change 'ENTRYPOINT ["/uv"]' "$_ctr_dir/uv.tar" "$1" && rm -rf "$_ctr_dir"/{uv,uv.tar}
)

# No `set -e`: the options of the sourcing shell are its own, so every step says what its failure means.
_ctr_main() {
  local _ctr_start=$SECONDS _ctr_dir _ctr_log _ctr_index bases ref name flags
  [ -r "${DOCKERFILE:=Dockerfile}" ] || _ctr_fail "there is no file $DOCKERFILE" || return 1
  mapfile -t bases < <(_ctr_bases)
  export IMAGE_BUILD_FLAGS=${IMAGE_BUILD_FLAGS:-} # already set: this shell has our engine, and is asked again
  [ "$IMAGE_BUILD_FLAGS" ] || ! _ctr_ready "${bases[@]}" ||
    { _ctr_say 'this machine has a working engine, nothing to do'; return 0; }
  IMAGE_BUILD_FLAGS=
  [ "$(id -u)" = 0 ] && grep -q '^ID=debian$' /etc/os-release ||
    _ctr_fail 'a working container engine is missing, and only root on Debian can set one up' || return 1
  _ctr_dir=$(exec 2>/dev/null; umask 077; mkdir -p -- "${1:-}" && cd -- "$1" >/dev/null && pwd -P) ||
    _ctr_fail 'a directory to work in is missing (first argument)' || return 1
  _ctr_log=$_ctr_dir/containers.log
  _ctr_packages || _ctr_fail "podman or mmdebstrap is missing and apt cannot install it, see $_ctr_log" || return 1
  _ctr_configure || _ctr_fail "podman does not start, see $_ctr_log" || return 1
  _ctr_index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$(
    python3 -m pip config get global.index-url 2>/dev/null || true)}}}
  [[ ! $_ctr_index =~ ^[A-Za-z0-9._-]+=(.+)$ ]] || _ctr_index=${BASH_REMATCH[1]} # uv allows NAME=URL
  _ctr_network || _ctr_fail 'the CA certificates of this machine are missing' || return 1
  _ctr_say 'podman is set up'
  flags=(--pull=never --network=host)
  flags+=(-v "$_ctr_dir/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro" -v "$_ctr_dir/uv.toml:/etc/uv/uv.toml:ro")
  for ref in "${bases[@]}"; do
    name=${ref%@*} # a stand-in cannot have the pinned digest, so the build is told where to look
    [ "$name" = "$ref" ] || flags+=("--build-context=$ref=container-image://$name")
    podman image exists "$name" </dev/null && continue
    case $name in
      */python:*) _ctr_make_python "$name" ;;
      */uv:*) _ctr_make_uv "$name" ;;
      *) false ;;
    esac || _ctr_fail "no registry, and no stand-in for the base image $name, see $_ctr_log" || return 1
    _ctr_say "made a stand-in for $name"
  done
  printf -v IMAGE_BUILD_FLAGS '%q ' "${flags[@]}"
  _ctr_say 'ready'
}
_ctr_main "$@"
