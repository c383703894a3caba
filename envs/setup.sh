#!/bin/sh
# Finds a Python that can run the project and hands over to setup_venv.py.
#
#   envs/setup.sh run      what the workflow needs      (envs/lock.txt)
#   envs/setup.sh test     that and the test tools      (envs/lock-test.txt)
#   envs/setup.sh gpu      what the workflow needs on NVIDIA GPUs (envs/lock-gpu.txt)
#   envs/setup.sh peer     basic-pitch, in .venv-peer   (envs/lock-peer.txt)
#   envs/setup.sh python   print the Python it would use, and set nothing up
#
# Every failure is one line on standard error, with what to do, and exit code 2.
# Plain sh, and no command but `uname`: it must work where nothing else does.
set -u

fail() {
    printf 'set-up: %s\n' "$*" >&2
    exit 2
}

case $0 in
    */*) here=${0%/*} ;;
    *) here=. ;;
esac

# What a shell start-up file or an active environment may have set, and what
# would make Python look for its modules in the wrong place.
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONPLATLIBDIR PYTHONUSERBASE PYTHONWARNINGS \
    PYTHONOPTIMIZE PYTHONINSPECT PYTHONEXECUTABLE PYTHONPYCACHEPREFIX __PYVENV_LAUNCHER__

# Set MACHINE_CHECK=off to try elsewhere all the same: pip then says what has no wheel.
if [ "${MACHINE_CHECK:-on}" != off ]; then
    machine="$(uname -s) $(uname -m)"
    case $machine in
        "Linux x86_64" | "Linux amd64") ;;
        *) fail "this machine is $machine, and the locked packages are for Linux on x86-64: use such a machine, or a container or virtual machine of that kind" ;;
    esac
fi

# Both ends are TensorFlow's: 2.21 has wheels for 3.10 to 3.13, and our code needs 3.11.
wanted="Python 3.11, 3.12 or 3.13"
too_old=
too_new=
no_venv=
for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    command -v "$candidate" >/dev/null 2>&1 || {
        [ "$candidate" = "${PYTHON:-}" ] && fail "PYTHON=$candidate is not a command: name $wanted, or leave PYTHON out"
        continue
    }
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=
    case $version in
        3.11 | 3.12 | 3.13)
            if "$candidate" -I -c 'import ensurepip, venv' >/dev/null 2>&1; then
                [ "$1" = python ] && { command -v "$candidate"; exit 0; }
                exec "$candidate" -I "$here/setup_venv.py" "$1"
            fi
            no_venv=${no_venv:-$candidate ($version)}
            [ -n "${venv_package:-}" ] || venv_package=python$version-venv
            ;;
        3.1[4-9] | 3.[2-9][0-9] | [4-9].*) too_new=${too_new:-$candidate is $version} ;;
        [0-9]*) too_old=${too_old:-$candidate is $version} ;;
    esac
    # A Python that was asked for by name is not replaced by another.
    [ "$candidate" = "${PYTHON:-}" ] && break
done

[ -z "$no_venv" ] || fail "$no_venv has no venv module: install it (Debian, Ubuntu: apt-get install $venv_package), or name another Python: make PYTHON=/path/to/python3 ..."
[ -z "$too_new" ] || fail "$wanted is needed, and $too_new: TensorFlow 2.21 has no wheel for that; install one of these beside it and name it: make PYTHON=/path/to/python3.13 ..."
[ -z "$too_old" ] || fail "$wanted is needed, and $too_old: install one (it may stand beside the old one) and name it: make PYTHON=/path/to/python3.13 ..."
fail "no Python found: install $wanted, or name one: make PYTHON=/path/to/python3.13 ..."
