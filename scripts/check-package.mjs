// Checks the package as its users get it. Packs the last commit in a fresh clone and installs it in an empty project.
// There it runs the command, a script with a cluster, the same from CommonJS and from Jest, and a type check under both
// ways to resolve modules. The package is a bundle: each entry point must export what its source exports, and each
// process must start. Too slow for npm test: `npm run check:package` before a release.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const project = mkdtempSync(join(tmpdir(), 'quorate-package-'))

const clone = join(project, 'clone')
/** Has no node_modules, nor have the directories above it. */
const alone = mkdtempSync(join(tmpdir(), 'quorate-alone-'))

/** The entry points, with their sources. */
const ENTRIES = {
  quorate: 'src/index.ts',
  'quorate/client': 'src/client/index.ts',
  'quorate/recipes': 'src/recipes/index.ts',
  'quorate/etcd': 'src/etcd-client/index.ts',
  'quorate/testing': 'jepsen-lite/testing/index.ts',
}

const esm = `
import { Client, startCluster } from 'quorate'
import { Client as ClientAlone } from 'quorate/client'

const cluster = await startCluster({ nodes: 3 })
try {
  const kv = new Client({ endpoints: cluster.endpoints })
  const { revision } = await kv.put('greeting', 'hello')
  const record = await kv.get('greeting')
  if (record?.text() !== 'hello' || record.modRevision !== revision) throw new Error('read something else')
  await kv.transact(async (tx) => tx.put('copy', (await tx.get('greeting'))?.text() ?? ''))
  const { results } = await kv.txn({ success: [{ get: { key: 'copy' } }] })
  if (results[0]?.get?.kvs?.[0]?.text() !== 'hello') throw new Error('no transaction')
  if (Client !== ClientAlone) throw new Error('two copies of the client')
} finally {
  await cluster.close()
}
console.log('served')
`

const cjs = `
const { Client, startCluster } = require('quorate')
startCluster({ nodes: 1 })
  .then((cluster) => new Client({ endpoints: cluster.endpoints }).put('a', 'b').finally(() => cluster.close()))
  .then(() => console.log('served'))
`

// The line of docs/guides/embedding.md.
const jest = 'NODE_OPTIONS=--experimental-vm-modules npx jest'

const jestTest = `
const { startCluster } = require('quorate')
const { simulate } = require('quorate/testing')
test('a cluster', async () => {
  const cluster = await startCluster({ nodes: 1 })
  try {
    await cluster.client().put('a', 'b')
    expect((await cluster.client().get('a')).text()).toBe('b')
  } finally {
    await cluster.close()
  }
})
test('a simulation', async () => {
  const { seed } = await simulate({ seed: 4 }, () => new Promise((resolve) => setTimeout(resolve, 10_000)))
  expect(seed).toBe(4)
  const failing = simulate({ seed: 4 }, async () => {
    void Promise.reject(new Error('unhandled'))
    await new Promise((resolve) => setTimeout(resolve, 10_000))
  })
  await expect(failing).rejects.toMatchObject({ code: 'failed', seed: 4 })
})
`

const recipes = `
import { startCluster } from 'quorate'
import { lock, queue, runAsLeader } from 'quorate/recipes'

const cluster = await startCluster({ nodes: 1 })
try {
  const kv = cluster.client()
  const held = await lock(kv, 'one', { waitMs: 0 })
  await held.put('a', 'b')
  await held.release()
  await queue(kv, 'mail').push('x')
  console.log(await runAsLeader(kv, 'lead', async ({ token }) => token > held.token))
} finally {
  await cluster.close()
}
`

const classes = `
import * as all from 'quorate'
import * as client from 'quorate/client'
import * as recipes from 'quorate/recipes'

const errors = Object.entries({ ...all, ...recipes }).filter(([name]) => name.endsWith('Error'))
const wrong = [
  ...Object.keys(client).filter((name) => client[name] !== all[name]),
  ...errors.filter(([name, error]) => error.name !== name).map(([name]) => name),
]
console.log(wrong.length, recipes.LockLostError.prototype instanceof all.QuorateError)
`

// It runs where no package is: it records nothing, and needs no LevelDB.
const bundled = `
import { trace } from '@opentelemetry/api'
import { Client } from 'quorate/client'

trace.setGlobalTracerProvider({ getTracer: () => { throw new Error('a span') } })
async function main() {
  const warnings = []
  const kv = new Client({ endpoints: ['http://127.0.0.1:27301'], onWarning: (text) => warnings.push(text) })
  for (let n = 0; n < 64; n++) await kv.put('bundled', 'hello')
  await Promise.all(Array.from({ length: 64 }, () => kv.put('bundled', 'hello')))
  const { id } = await kv.grantLease({ ttlMs: 60_000 })
  await kv.put('leased', 'hello', { lease: id })
  await kv.transact(async (tx) => tx.put('bundled', (await tx.get('leased'))?.text() ?? ''))
  for await (const view of kv.mirror({ prefix: 'bundled' })) {
    console.log(view.get('bundled')?.text(), typeof (await kv.status()).term, warnings.length)
    break
  }
  await kv.close()
}
main()
`

const recipesCjs = `
const { LockLostError, lock } = require('quorate/recipes')
console.log(typeof lock, LockLostError.name)
`

const testing = `
import { writeFileSync } from 'node:fs'
import { startCluster } from 'quorate'
import { checkLinearizable, checkTransactions, faultSchedule, faultSchedules, recorded } from 'quorate/testing'

const cluster = await startCluster({ nodes: 3 })
try {
  const schedule = faultSchedule([{ at: 1, fault: 'partition', nodes: ['n3'], for: 2 }])
  const history = await schedule.run(cluster, async (history) => {
    const kv = recorded(cluster.client(), { history })
    for (let n = 0; n < 5; n++) await history.transaction(() => kv.put('a', String(n)))
  })
  checkLinearizable(history)
  console.log(checkTransactions(history).operations)
  history.save('history.jsonl')
  writeFileSync('wrong.jsonl', history.toString().replace('"version":5', '"version":7'))
} finally {
  await cluster.close()
}
try {
  console.log(String(faultSchedules()))
} catch (error) {
  console.log(error instanceof Error ? error.message : error)
}
`

const testingCjs = `
const { RecordedHistory, checkLinearizable } = require('quorate/testing')
try {
  checkLinearizable(RecordedHistory.load('wrong.jsonl'), { report: 'report.html' })
} catch (error) {
  console.log(error.name, error.verdict, require('node:fs').existsSync(error.report))
}
`

// 10 virtual seconds, from one seed.
const simulated = `
  simulate({ seed: 4 }, async (world) => {
    const worker = world.process('worker', async (self) => {
      const kv = self.client()
      await kv.put('greeting', String(Math.random()))
      await new Promise((resolve) => setTimeout(resolve, 10_000))
      await kv.close()
    })
    await worker.ended
  }).then(({ traceHash, leftovers }) => console.log(traceHash, leftovers.length))
`
const simulation = `import { simulate } from 'quorate/testing'${simulated}`
const simulationCjs = `const { simulate } = require('quorate/testing')${simulated}`

const tsconfig = (module, moduleResolution) => ({
  compilerOptions: {
    ...{
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      target: 'es2024',
      module,
      moduleResolution,
    },
    ...{ types: ['node'], typeRoots: [join(root, 'node_modules/@types')] },
    paths: { 'fast-check': [join(root, 'node_modules/fast-check/lib/fast-check.d.ts')] },
  },
  files: ['check.ts', 'recipes.ts', 'testing.ts'],
})

try {
  run(project, 'git', ['clone', '--quiet', root, clone])
  const tarball = run(clone, 'npm', ['pack', '--silent', '--pack-destination', project]).split('\n').at(-1)
  check('packing changes nothing in the clone', run(clone, 'git', ['status', '--short']), '')
  write('package.json', { name: 'application', private: true, type: 'module' })
  run(project, 'npm', [
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    `./${tarball}`,
    'jest@30',
  ])
  check(
    'no Node is installed with the package',
    String(existsSync(join(project, 'node_modules/.bin/node'))),
    'false',
  )
  for (const command of ['quorate', 'jepsen-lite']) {
    check(`npx ${command} --version`, run(project, 'npx', [command, '--version']), version)
  }

  check(
    'the simulator runs',
    run(project, 'npx', ['jepsen-lite', 'sim', '--schedules', '1', '--nodes', '1']).split('\n').at(-1),
    'no violation',
  )
  for (const command of ['exercise', 'mutants', 'power']) {
    check(
      `jepsen-lite ${command} is for clones`,
      failure(project, 'npx', ['jepsen-lite', command]).split('\n')[0],
      `error: unknown command '${command}'`,
    )
  }

  for (const [entry, source] of Object.entries(ENTRIES)) {
    const names = (from) => `console.log(Object.keys(await import('${from}')).join())`
    check(
      `the exports of ${entry}`,
      run(project, 'node', ['--input-type=module', '-e', names(entry)]),
      run(project, 'node', ['--input-type=module', '-e', names(join(clone, source))]),
    )
  }
  write('classes.mjs', classes)
  check('one copy of each class, by its name', run(project, 'node', ['classes.mjs']), '0 true')

  const kv = (...args) => run(project, 'npx', ['quorate', ...args])
  kv('cluster', 'start', '--detach', '--port', '27301')
  try {
    kv('put', 'greeting', 'hello')
    check('a cluster of the command', kv('get', 'greeting'), 'hello')
    write('bundled.mjs', bundled)
    const bundle = await rolldown({
      cwd: project,
      input: 'bundled.mjs',
      platform: 'node',
      logLevel: 'silent',
    })
    await bundle.write({ dir: alone, format: 'cjs', entryFileNames: '[name].cjs' })
    check(
      'the client in a bundle, without the package',
      run(alone, 'node', ['bundled.cjs']),
      'hello number 0',
    )
  } finally {
    kv('cluster', 'stop')
  }
  check(
    'searches of the simulator in threads',
    run(project, 'npx', ['jepsen-lite', 'sim', '--jobs', '2', '--schedules', '2', '--nodes', '1'])
      .split('\n')
      .at(-1),
    'no violation',
  )

  write('check.ts', esm)
  write('check.mjs', esm)
  write('check.cjs', cjs)
  check('a cluster in a script', run(project, 'node', ['check.mjs']), 'served')
  check('a cluster in CommonJS', run(project, 'node', ['check.cjs']), 'served')

  write('check.test.cjs', jestTest)
  run(project, 'sh', ['-c', `${jest} --testMatch '**/*.test.cjs' 2>&1`])
  console.log('ok  a cluster in Jest')

  write('recipes.ts', recipes)
  write('recipes.mjs', recipes)
  write('recipes.cjs', recipesCjs)
  check('recipes', run(project, 'node', ['recipes.mjs']), 'true')
  check('recipes in CommonJS', run(project, 'node', ['recipes.cjs']), 'function LockLostError')

  write('testing.ts', testing)
  write('testing.mjs', testing)
  write('testing.cjs', testingCjs)
  check(
    'a schedule of faults, and no fast-check',
    run(project, 'node', ['testing.mjs']),
    '5\nfaultSchedules needs the package fast-check: npm install --save-dev fast-check',
  )
  check('a report in CommonJS', run(project, 'node', ['testing.cjs']), 'AnomalyError violation true')
  write('simulation.mjs', simulation)
  write('simulation.cjs', simulationCjs)
  const trace = run(project, 'node', ['simulation.mjs'])
  if (!/^[0-9a-f]{16} 0$/.test(trace)) throw new Error(`a simulation printed '${trace}'`)
  check('a simulation, the same in CommonJS', run(project, 'node', ['simulation.cjs']), trace)
  check(
    'jepsen-lite reads what was recorded',
    run(project, 'npx', ['jepsen-lite', 'check', 'history.jsonl']).split(' ')[0],
    'pass',
  )

  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    write('tsconfig.json', tsconfig(module, resolution))
    check(`types, resolved as ${resolution}`, run(project, 'node', [tsc, '-p', '.']), '')
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  for (const dir of [project, alone]) rmSync(dir, { recursive: true, force: true })
}

function check(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: expected '${expected}', got '${actual}'`)
  console.log(`ok  ${what}`)
}

/** Output of the command; its errors go to the terminal. */
function run(cwd, command, args) {
  // npm tells its scripts which project it serves; the commands here shall find theirs by the directory.
  const { npm_config_local_prefix: _, ...env } = process.env
  // tsc says on stdout what is wrong.
  try {
    return execFileSync(command, args, {
      cwd,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }).trim()
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')} failed: ${error.stdout || error.message}`)
  }
}

/** Errors that a command printed which must fail. */
function failure(cwd, command, args) {
  const { npm_config_local_prefix: _, ...env } = process.env
  const { status, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' })
  if (status === 0) throw new Error(`${command} ${args.join(' ')} succeeded`)
  return stderr.trim()
}

function write(name, content) {
  writeFileSync(join(project, name), typeof content === 'string' ? content : JSON.stringify(content))
}
