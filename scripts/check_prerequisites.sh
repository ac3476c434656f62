#!/usr/bin/env bash
# Say what must be installed before anything else is done. Usage: check_prerequisites.sh PYTHON
set -u
python=${1:-python3}
problems=()

if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
    problems+=("Python 3.10, 3.11 or 3.12 is needed as '$python' (Debian, Ubuntu: apt-get install python3 python3-venv;
  another one: make PYTHON=/path/to/python3.11 ...)")
fi

java=java
[ -n "${JAVA_HOME:-}" ] && java=$JAVA_HOME/bin/java
if version=$("$java" -version 2>&1); then
    release=$(printf '%s\n' "$version" | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    case "$release" in
        17 | 21) ;;
        *) problems+=("Java ${release:-of an unknown version} doesn't fit: Spark 4 runs on Java 17 or 21 (Debian, Ubuntu:
  apt-get install openjdk-17-jre-headless; where several are installed, set JAVA_HOME)") ;;
    esac
else
    problems+=("Java is missing: Spark 4 runs on Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless)")
fi

if ! command -v "${CXX:-g++}" >/dev/null; then
    problems+=("A C++ compiler is missing: Horovod is built with '${CXX:-g++}' (Debian, Ubuntu: apt-get install g++).
  Without one: pip install 'sparkwater[spark]', and train with numWorkers=1 or collective='torch'")
fi

[ ${#problems[@]} -eq 0 ] && exit 0
printf 'sparkwater cannot be set up yet:\n' >&2
printf -- '- %s\n' "${problems[@]}" >&2
exit 1
