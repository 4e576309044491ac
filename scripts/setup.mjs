// Makes a clone ready to run: `npm start` and `npm test` call this first. It installs the dependencies where they are
// missing or are not those of the lockfile, and says why. It links the commands of this package, and checks that a Node
// is there which can run it. It builds the console and the lab where they are missing or older than their sources. When
// all is in place it only looks at files.
//
// `setup.mjs link-bins` is the prepare script: the links alone, for those who run `npm ci` themselves.
//
// It runs on any Node that the machine may have, so it uses plain syntax and no dependencies.

import { spawnSync } from 'child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'fs'
import { dirname, join } from 'path'
import { fileURLToPath } from 'url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bins = join(root, 'node_modules', '.bin')
const windows = process.platform === 'win32'
const PAGES = [
  {
    ...{ name: 'The console', directory: join('web', 'dist'), document: 'index.html' },
    sources: ['web/src', 'src/operations', 'src/bytes'],
  },
  {
    ...{ name: 'The lab', directory: join('web', 'dist-lab'), document: 'lab.html' },
    sources: ['web/src', 'src', 'jepsen-lite'],
  },
]

if (process.argv[2] === 'link-bins') {
  linkBins()
} else {
  const reason = whyToInstall()
  if (reason !== undefined) {
    install(reason)
    dropPinnedNodeThatDoesNotRun()
  }
  linkBins()
  requireNode()
  for (const page of PAGES) if (!isBuilt(page)) build(page)
}

// npm writes node_modules/.package-lock.json as the last step of an installation. A copy of node_modules, or another
// checkout, has other times: then the content decides. undefined: all is installed.
function whyToInstall() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installed)) return 'node_modules is missing, or its installation was interrupted'
  const lock = join(root, 'package-lock.json')
  if (statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return undefined
  const [found, wanted] = [installed, lock].map((path) => JSON.parse(readFileSync(path, 'utf8')).packages)
  const paths = Object.keys(Object.assign({}, wanted, found)).filter((path) => path !== '')
  for (const path of paths) {
    const [is, should] = [found[path], wanted[path]]
    if (should === undefined) return `package-lock.json has no ${path}`
    // npm leaves out optional packages of other systems.
    if (is === undefined && !should.optional && !should.devOptional) return `${path} is missing`
    if (is === undefined || (is.version === should.version && is.integrity === should.integrity)) continue
    return `${path} is ${is.version}, and package-lock.json has ${should.version}`
  }
  return undefined
}

function install(reason) {
  console.error(`Installing the dependencies (npm ci), because ${reason} …`)
  // Only errors: npm would warn that it runs on a Node older than the one it installs here. The tests
  // need the development dependencies, the pinned Node is an optional one, whatever the user's defaults.
  const args = ['ci', '--loglevel=error', '--no-audit', '--no-fund', '--include=dev', '--include=optional']
  // npm's own Node rather than the pinned one, which this installation replaces.
  const npm = process.env.npm_execpath
  const options = { cwd: root, stdio: ['ignore', 2, 2], shell: false }
  const result = /npm-cli\.c?js$/.test(npm || '')
    ? spawnSync(process.env.npm_node_execpath || process.execPath, [npm].concat(args), options)
    : spawnSync('npm', args, Object.assign(options, { shell: windows }))
  if (result.error) fail(`npm could not be started: ${result.error.message}`)
  if (result.status !== 0) fail('`npm ci` failed; its message is above. Nothing was started.')
}

// The sources of a page, and what may change its build.
function isBuilt({ directory, sources }) {
  const built = join(root, directory, 'index.html')
  if (!existsSync(built)) return false
  const paths = sources.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, String(name))),
  )
  paths.push('web/index.html', 'web/lab.html', 'web/design.html', 'web/vite.config.ts', 'package-lock.json')
  const time = statSync(built).mtimeMs
  return paths.every((path) => statSync(join(root, path)).mtimeMs <= time)
}

// With the pinned Node, if it runs here: the bundler needs a newer one than this script.
function build({ name, directory, document }) {
  const pinned = join(bins, windows ? 'node.cmd' : 'node')
  const node = existsSync(pinned) ? pinned : process.execPath
  const options = { cwd: root, stdio: ['ignore', 2, 2], shell: windows }
  const result = spawnSync(node, [join(root, 'scripts', 'build-web.mjs'), directory, document], options)
  if (result.error) fail(`${name} could not be built: ${result.error.message}`)
  if (result.status !== 0) fail(`${name} could not be built; the message is above. Nothing was started.`)
}

// The pinned Node is built against glibc: on another libc the machine's own must serve.
function dropPinnedNodeThatDoesNotRun() {
  const pinned = join(bins, 'node')
  if (windows || !existsSync(pinned)) return
  if (spawnSync(pinned, ['--version']).status !== 0) unlinkSync(pinned)
}

// npm links the commands of dependencies, not those of the package itself.
function linkBins() {
  mkdirSync(bins, { recursive: true })
  const commands = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).bin
  Object.keys(commands).forEach((name) => {
    const link = join(bins, name)
    if (windows) {
      writeFileSync(`${link}.cmd`, `@node "%~dp0\\..\\..\\${commands[name].replace(/\//g, '\\')}" %*\r\n`)
    } else if (!existsSync(link)) {
      symlinkSync(join('..', '..', commands[name]), link)
      chmodSync(link, 0o755)
    }
  })
}

function requireNode() {
  if (existsSync(join(bins, windows ? 'node.cmd' : 'node'))) return
  const version = process.versions.node.split('.').map(Number)
  if (version[0] > 22 || (version[0] === 22 && version[1] >= 18)) return
  fail(
    `quorate needs Node.js 22.18 or newer. This is Node.js ${process.versions.node}, and npm ` +
      `has installed no pinned one (for ${process.platform}-${process.arch}).\nInstall Node.js 24 from https://nodejs.org/en/download, then run the command again.`,
  )
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
