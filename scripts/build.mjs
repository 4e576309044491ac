// Builds dist/ from nothing: the JavaScript as a bundle (rolldown), the console (Vite), and the declarations of the
// public types (tsc).
//
// A module in a file of its own adds half a millisecond to each start, and `kv put` loads 150 modules: with the bundle
// it takes half the CPU time. All entry points are in one bundle, so that there is one copy of each class. Modules that
// are imported dynamically stay in files of their own, which are loaded when they are needed.

import { spawnSync } from 'node:child_process'
import { cpSync, readdirSync, rmSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { wrongRafts } from '../jepsen-lite/wrong-rules/bundler-plugin.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

/** Entry points by the name of their file in dist/. A process or a thread is started by the path of its file. */
const ENTRIES = {
  index: 'src/index.ts',
  client: 'src/client/index.ts',
  recipes: 'src/recipes/index.ts',
  etcd: 'src/etcd-client/index.ts',
  testing: 'jepsen-lite/testing/index.ts',
  quorate: 'src/cli/main.ts',
  'supervisor-process': 'src/cli/cluster/supervisor-process.ts',
  'node-process': 'src/local/node/node-process.ts',
  'jepsen-lite': 'jepsen-lite/main.ts',
  'recipe-process': 'jepsen-lite/local/recipe-process.ts',
  'search-worker': 'jepsen-lite/commands/search-worker.ts',
}

/**
 * The client library is bundled again into applications, and serves where no LevelDB can be loaded. So a module that it
 * may load, at its start or with a later call, shares no file with modules of the node.
 */
const CLIENT = 'src/client/index.ts'

/** Programs by the modules that they load at their start. Modules that the same programs load are one file. */
const PROGRAMS = {
  client: [CLIENT],
  command: ['src/cli/main.ts', 'src/cli/commands/put.ts'],
  supervisor: ['src/cli/cluster/supervisor-process.ts'],
  node: ['src/local/node/node-process.ts'],
  application: ['src/index.ts'],
}

rmSync(dist, { recursive: true, force: true })
await bundle()
// Compiled on the machine where it is used; put into the report as they are.
cpSync(join(root, 'jepsen-lite/local/preload/faults.c'), join(dist, 'faults.c'))
cpSync(join(root, 'jepsen-lite/report/page'), join(dist, 'page'), { recursive: true })
for (const name of readdirSync(join(root, 'web/src/design')).filter((name) => extname(name) === '.css'))
  cpSync(join(root, 'web/src/design', name), join(dist, 'page/design', name))
run(join(root, 'scripts/build-web.mjs'), join(dist, 'ui'))
run(join(root, 'scripts/build-web.mjs'), join(dist, 'lab'), 'lab.html')
run(join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json')

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}

async function bundle() {
  const bundler = await rolldown({
    cwd: root,
    input: ENTRIES,
    platform: 'node',
    plugins: [wrongRafts()],
    // A name without a path is a dependency of the package. The compiler's helpers go into the bundle.
    // Three commands change the sources or record the system calls of this repository's tests: for clones only.
    external: [/^(?!@oxc-project\/)[@a-z]/, /\/commands\/(exercise|mutants|power)\.ts$/],
    // `await using` in the sources is newer than the oldest Node that the package supports.
    transform: { target: 'node22.18' },
    // rolldown demands it for groups without their dependencies. `npm run check:package` compares the exports.
    preserveEntrySignatures: 'allow-extension',
  })
  await bundler.write({
    dir: dist,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    keepNames: true,
    minifyInternalExports: false,
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [{ debugName: 'programs', name: nameByPrograms() }],
    },
  })
  await bundler.close()
}

/** Names the file of a module by the programs that load it at their start. Other modules are left to the bundler. */
function nameByPrograms() {
  let loaded
  return (id, graph) => {
    loaded ??= {
      programs: Object.entries(PROGRAMS).map(([name, starts]) => ({
        name,
        modules: findImports(starts, graph, false),
      })),
      library: findImports([CLIENT], graph, true),
    }
    const names = loaded.programs.filter(({ modules }) => modules.has(id)).map(({ name }) => name)
    // An entry point stays in its own file: that of a process runs when it is loaded.
    if (names.length === 0 || graph.getModuleInfo(id).isEntry) return null
    if (loaded.library.has(id) && !names.includes('client')) names.unshift('library')
    return names.join('-')
  }
}

/** `isLater`: also what these modules import dynamically. */
function findImports(starts, graph, isLater) {
  const modules = new Set()
  const visit = (id) => {
    if (modules.has(id)) return
    modules.add(id)
    const info = graph.getModuleInfo(id)
    info?.importedIds.forEach(visit)
    if (isLater) info?.dynamicallyImportedIds.forEach(visit)
  }
  for (const start of starts) visit(join(root, start))
  return modules
}
