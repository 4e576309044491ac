#!/usr/bin/env node
// The entry of the commands `quorate` and `kv`. Every old Node must be able to parse this file and reach
// the message about its version: hence no import, export or await statements, and plain syntax.

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  refuse()
} else {
  run()
}

// The list of processes shows the arguments until this runs: before the program is loaded, which takes longer. Of
// arguments that may not be UTF-8, src/cli/main.ts reads the bytes there first, and hides them then.
function hideSecrets(args) {
  const hasSecret = args.some((arg) => /^--((etcd-)?user|token|password)\b/.test(arg))
  if (hasSecret && !args.some((arg) => arg.includes('\uFFFD'))) process.title = 'quorate'
}

function refuse() {
  console.error(
    `quorate needs Node.js 22.18 or newer; this is Node.js ${process.versions.node} (${process.execPath}).\n` +
      'In a clone of the repository, `npm ci` once and then `npx quorate` use the Node.js that the project pins;\n' +
      'to call node_modules/.bin/quorate itself, put node_modules/.bin at the front of the PATH.\n' +
      'Elsewhere install Node.js 24 from https://nodejs.org/en/download and run the command again.',
  )
  process.exitCode = 1
}

function run() {
  hideSecrets(process.argv.slice(2))
  // Keeps compiled code for the next run: a `kv get` takes half as long with it.
  process.getBuiltinModule('node:module').enableCompileCache()
  const { existsSync, realpathSync } = process.getBuiltinModule('node:fs')
  const { dirname, join } = process.getBuiltinModule('node:path')
  // A clone has src/ and always runs it; the package has only dist/. So no build is ever stale.
  const root = dirname(dirname(realpathSync(process.argv[1])))
  const entry = existsSync(join(root, 'src')) ? '../src/cli/main.ts' : '../dist/quorate.js'
  void import(entry)
    .then((cli) => cli.main(process.argv.slice(2)))
    .then((exitCode) => {
      process.exitCode = exitCode
    })
    .catch((error) => {
      const hint = error.code === 'ERR_MODULE_NOT_FOUND' ? '; `npm ci` installs what is missing' : ''
      console.error(`error: ${error.message}${hint}`)
      process.exitCode = 1
    })
}
