// scripts/setup.mjs: whether `npm start`, `npm test` and `npm pack` in a clone install the dependencies, and why.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

interface Locked {
  readonly version: string
  readonly integrity: string
  readonly optional?: true
}

const A: Locked = { version: '1.0.0', integrity: 'sha512-a' }
const B: Locked = { version: '2.0.0', integrity: 'sha512-b' }
const OTHER_SYSTEM: Locked = { version: '3.0.0', integrity: 'sha512-c', optional: true }

/** A clone with these packages in its lockfile and, if given, an older copy of node_modules. */
function clone(wanted: Record<string, Locked>, installed: Record<string, Locked> | undefined): string {
  const root = mkdtempSync(join(tmpdir(), 'quorate-clone-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const folders = ['node_modules/.bin', 'scripts', 'web/src', 'web/dist', 'web/dist-lab', 'jepsen-lite']
  for (const folder of [...folders, 'src/operations', 'src/bytes'])
    mkdirSync(join(root, folder), { recursive: true })
  const write = (path: string, value: unknown) => writeFileSync(join(root, path), JSON.stringify(value))
  cpSync(join(ROOT, 'scripts/setup.mjs'), join(root, 'scripts/setup.mjs'))
  write('package.json', { bin: {} })
  for (const path of ['index.html', 'lab.html', 'design.html', 'vite.config.ts']) write(`web/${path}`, '')
  write('package-lock.json', { packages: { '': {}, ...wanted } })
  if (installed !== undefined) {
    write('node_modules/.package-lock.json', { packages: installed })
    utimesSync(join(root, 'node_modules/.package-lock.json'), 1, 1)
  }
  for (const directory of ['dist', 'dist-lab']) write(`web/${directory}/index.html`, '')
  // In place of npm. It is called with its arguments.
  writeFileSync(
    join(root, 'npm-cli.js'),
    "require('node:fs').writeFileSync('called', process.argv.slice(2).join(' '))",
  )
  return root
}

/** Runs the script. Returns its messages, and the arguments of npm if it has called npm. */
function setUp(root: string): { readonly said: string; readonly npm: string | undefined } {
  const { stderr } = spawnSync(process.execPath, ['scripts/setup.mjs'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, npm_execpath: join(root, 'npm-cli.js'), npm_node_execpath: process.execPath },
  })
  try {
    return { said: stderr, npm: readFileSync(join(root, 'called'), 'utf8') }
  } catch {
    return { said: stderr, npm: undefined }
  }
}

const LOCK = { 'node_modules/a': A, 'node_modules/b': B, 'node_modules/c': OTHER_SYSTEM }

test.each<[string, Record<string, Locked>]>([
  ['all packages', LOCK],
  ['all but an optional one, for another system', { 'node_modules/a': A, 'node_modules/b': B }],
])('a copy of node_modules that has %s is used as it is', (_, installed) => {
  expect(setUp(clone(LOCK, installed))).toEqual({ said: '', npm: undefined })
})

test.each<[string, Record<string, Locked> | undefined, string]>([
  ['that is missing', undefined, 'node_modules is missing, or its installation was interrupted'],
  ['without a package', { 'node_modules/a': A }, 'node_modules/b is missing'],
  [
    'with another version',
    { ...LOCK, 'node_modules/a': { ...A, version: '0.9.0' } },
    'node_modules/a is 0.9.0, and package-lock.json has 1.0.0',
  ],
  ['with one package more', { ...LOCK, 'node_modules/d': A }, 'package-lock.json has no node_modules/d'],
])('node_modules %s: the dependencies are installed, and the reason is said', (_, installed, reason) => {
  const { said, npm } = setUp(clone(LOCK, installed))
  expect(said).toContain(`Installing the dependencies (npm ci), because ${reason} …`)
  expect(npm).toMatch(/^ci /)
})
