#!/usr/bin/env bash
# Builds PostgreSQL with its regression suite from the source package of Debian or Ubuntu, into a cache folder.
# Does nothing when it is there already. The last line printed is the folder, which holds
#
#   install/bin         the programs
#   regress             pg_regress, its tests, and regress.so
#   contrib/NAME        the tests of an extension that comes with PostgreSQL; the file `tests` lists them
#
# The source is found with package lists of its own, so the system's configuration stays as it is.
set -euo pipefail

major=${1:-15}
package=postgresql-$major

fail() {
    echo "build-postgres.sh: $*" >&2
    exit 1
}

cache=$("$(dirname "$0")/cache-folder.sh")
place=$cache/$package-suites
if [ -e "$place/complete" ]; then
    echo "$place"
    exit 0
fi

command -v apt-get >/dev/null || fail "needs apt-get: the source comes from Debian or Ubuntu"
for tool in cc make perl tar bzip2; do
    command -v $tool >/dev/null || fail "$tool is missing: apt-get install build-essential perl bzip2"
done
mkdir -p "$cache"
exec 9>"$cache/$package-suites.lock"
flock 9
if [ -e "$place/complete" ]; then
    echo "$place"
    exit 0
fi

# The programs remember where they are installed, so they are built in their final place; `complete` comes last.
rm -rf "$place"
mkdir -p "$place"/apt/{parts,lists/partial,archives/partial} "$place/source"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    [ -f "$list" ] || continue
    # Lists of third parties have no source of PostgreSQL in the distribution's version, or none at all.
    grep -qE '(debian|ubuntu)\.(org|com)' "$list" || continue
    sed -E 's/^deb /deb-src /; s/^Types:.*/Types: deb-src/' "$list" >"$place/apt/parts/${list##*/}"
done
apt=(-q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$place/apt/parts"
    -o "Dir::State::lists=$place/apt/lists" -o "Dir::Cache=$place/apt" -o APT::Sandbox::User=root)

# Both are asked for their success, which switches `set -e` off in them: every step is chained.
fetch() {
    local version
    apt-get "${apt[@]}" update || return
    # The newest version can be announced before every mirror has it.
    for version in $(apt-cache "${apt[@]}" showsrc "$package" | awk '/^Version:/ {print $2}' | sort -rVu); do
        apt-get "${apt[@]}" source --download-only "$package=$version" && return
    done
    return 1
}
build() {
    ./configure --prefix="$place/install" --without-icu --without-readline --without-zlib CFLAGS=-O2 &&
        nice make -s -j"$(nproc)" &&
        make -s install &&
        nice make -s -j"$(nproc)" -C contrib &&
        make -s -C contrib install &&
        nice make -s -C src/test/regress &&
        # The suite loads these two from where it loads regress.so.
        cp contrib/spi/{autoinc,refint}.so src/test/regress/
}
# Keeps the tests of extensions that need no settings of their own, and of PL/pgSQL.
keep_contrib() {
    local folder name tests
    for folder in contrib/* src/pl/plpgsql/src; do
        name=$(basename "${folder%/src}")
        grep -qsE '^REGRESS *=' "$folder/Makefile" && ! grep -qE 'temp-config|NO_INSTALLCHECK' "$folder/Makefile" || continue
        # Built only with libraries that were not asked for.
        [ -e "$place/install/share/extension/$name.control" ] || continue
        tests=$(make -s --no-print-directory -C "$folder" --eval='list: ; @echo $(REGRESS)' list)
        mkdir -p "$place/contrib/$name"
        cp -r "$folder"/{sql,expected} "$place/contrib/$name/"
        [ ! -d "$folder/data" ] || cp -r "$folder/data" "$place/contrib/$name/"
        echo "$tests" >"$place/contrib/$name/tests"
    done
}

echo "Building $package from source, once: this takes some minutes ($place/log)" >&2
cd "$place/source"
fetch >"$place/log" 2>&1 || fail "no source of $package to be had: see $place/log"
tar --extract --strip-components=1 --file "$package"_*.orig.tar.bz2
build >>"$place/log" 2>&1 || fail "the build failed: see $place/log"

keep_contrib
mv src/test/regress "$place/regress"
cd "$place"
rm -rf source apt
chmod -R a+rX "$place"
touch complete
echo "$place"
