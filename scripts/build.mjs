// Compiles src/ and jepsen-lite/ to dist/, from nothing: a file that left them leaves the package too.

import { spawnSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

rmSync(join(root, 'dist'), { recursive: true, force: true })
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
// They plant bugs in the sources and record the system calls of this repository's tests: for clones only.
for (const inClones of [
  'mutants',
  'power',
  'commands/mutants.js',
  'commands/mutants.d.ts',
  'commands/power.js',
  'commands/power.d.ts',
]) {
  rmSync(join(root, 'dist', 'jepsen-lite', inClones), { recursive: true })
}
// Compiled on the machine where it is used; put into the report as it is.
for (const asIs of ['jepsen-lite/local/preload/faults.c', 'jepsen-lite/report/page']) {
  cpSync(join(root, asIs), join(root, 'dist', asIs), { recursive: true })
}
process.exitCode = status === 0 ? 0 : 1
