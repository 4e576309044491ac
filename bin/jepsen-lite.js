#!/usr/bin/env node
// The entry of the command `jepsen-lite`. As in kv.js, every old Node must be able to parse this file: hence no
// import, export or await statements, and plain syntax. Whatever goes wrong here is exit code 3: 1 means that a
// violation was found.

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  refuse()
} else {
  run()
}

function refuse() {
  console.error(
    `quorate needs Node.js 22.18 or newer; this is Node.js ${process.versions.node} (${process.execPath}).\n` +
      'In a clone of the repository, `npm ci` once and then `npx jepsen-lite` use the Node.js that the project pins.\n' +
      'Elsewhere install Node.js 24 from https://nodejs.org/en/download and run the command again.',
  )
  process.exitCode = 3
}

function run() {
  process.getBuiltinModule('node:module').enableCompileCache()
  const { existsSync, realpathSync } = process.getBuiltinModule('node:fs')
  const { dirname, join } = process.getBuiltinModule('node:path')
  process.on('uncaughtException', (error) => {
    console.error(error)
    process.exit(3)
  })
  // A clone has src/ and always runs from its sources; the package has only dist/. So no build is ever stale.
  const root = dirname(dirname(realpathSync(process.argv[1])))
  const entry = existsSync(join(root, 'src')) ? '../jepsen-lite/main.ts' : '../dist/jepsen-lite.js'
  void import(entry).then((command) => command.main(process.argv.slice(2)))
}
