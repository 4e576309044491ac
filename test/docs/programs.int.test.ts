// Every ts block of the pages is a program that compiles, runs against a cluster, ends by itself, and prints what it
// says. Blocks that are fragments get what they need around them (fragments.ts).

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { freePorts } from '../local/kv.ts'
import { BLOCKS, type Block, root } from './blocks.ts'
import { isRun } from './not-run.ts'
import { programOf, promisedBy } from './program.ts'
import type { Ran } from './run-programs.ts'

/** Limit on the run of all programs together. */
const LIMIT_MS = 180_000

const PROGRAMS = BLOCKS.filter((block) => block.info === 'ts' && isRun(block)).map((block, number) => ({
  block,
  name: `${block.page}:${block.line}`,
  file: `program-${number}.mts`,
}))

interface ReadFile {
  readonly page: string
  readonly path: string
  readonly blocks: readonly Block[]
}

/**
 * The blocks that other tests run. A block may begin with the name of its file, `// counter.ts`. All blocks of a file
 * are one program. Those without a name continue the last test.
 */
const READ: readonly ReadFile[] = [
  ...Map.groupBy(
    BLOCKS.filter((block) => block.info === 'ts' && !isRun(block)),
    ({ page }) => page,
  ),
].flatMap(([page, blocks], number) => {
  let last = 'page.ts'
  const files = Map.groupBy(blocks, ({ text }) => {
    const [, name = last] = /^\/\/ (\S+\.ts)\n/.exec(text) ?? []
    if (name.endsWith('.test.ts')) last = name
    return name
  })
  return [...files].map(([file, own]) => ({ page, path: `page-${number}/${file}`, blocks: own }))
})

const BUILD_INFO = join(root, 'node_modules/.cache/quorate/docs.tsbuildinfo')
const directory = mkdtempSync(join(tmpdir(), 'quorate-docs-'))
let cluster: EmbeddedCluster
let types: string
let ran: Readonly<Record<string, Ran>>
let end: {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  const surroundings = { endpoints: cluster.endpoints, port: await freePorts(10) }
  for (const { block, file } of PROGRAMS) writeFileSync(join(directory, file), programOf(block, surroundings))
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }))
  for (const { path, blocks } of READ) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    const program = blocks.map((block) => programOf(block, surroundings)).join('\n')
    writeFileSync(join(directory, path), program)
  }
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  const checked = compile()
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'run-programs.ts'), directory, ...PROGRAMS.map(({ file }) => file)],
    { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS },
  )
  const [out, err, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  end = { code, signal, out, err }
  const results = join(directory, 'ran.json')
  ran = existsSync(results) ? JSON.parse(readFileSync(results, 'utf8')) : {}
  types = await checked
}, 2 * LIMIT_MS)

afterAll(async () => {
  await cluster.close()
  rmSync(directory, { recursive: true })
})

/** The errors of the compiler about all programs, compiled as those of a user. */
function compile(): Promise<string> {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      // The sources are named by their paths.
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
    },
    include: ['*.mts', 'page-*/*.ts'],
  }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      // The next run checks the programs, and of the sources what changed.
      [tsc, '--singleThreaded', '-p', directory, '--incremental', '--tsBuildInfoFile', BUILD_INFO],
      { cwd: directory },
      (_, out, err) => resolve(out + err),
    )
  })
}

test.each(PROGRAMS)('$name compiles', ({ block, file }) => {
  const said = types.split('\n').flatMap((line) => {
    const [, where, at = '', what] = /^(\S+)\((\d+),.*?: (.*)$/.exec(line) ?? []
    return where === file ? [`${block.page}:${block.line + Number(at) - 2}: ${what}`] : []
  })
  expect(said).toEqual([])
})

test.each(PROGRAMS)('$name runs', ({ block, file }) => {
  const { printed, error } = ran[file] ?? { error: `was not reached: ${end.err}` }
  expect(error).toBeUndefined()
  const promised = promisedBy(block)
  if (promised.length > 0) expect(printed).toEqual(promised)
})

test.each(READ)('$page compiles: $path', ({ path }) => {
  expect(types.split('\n').filter((line) => line.startsWith(`${path}(`))).toEqual([])
})

test('nothing else is said against them, and they leave nothing open', () => {
  expect(types.replaceAll(/^(program-\d+\.mts|page-\d+\/\S+\.ts)\(.*\n( .*\n)*/gm, '')).toBe('')
  const { code, signal, out, err } = end
  // A program with tests of its own says there what has failed.
  expect({ code, signal, err }, out).toEqual({ code: 0, signal: null, err: '' })
})
