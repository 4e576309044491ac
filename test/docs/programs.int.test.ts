// Every ts block of the pages is a program that compiles, runs against a cluster, ends by itself, and prints what it
// says. Blocks that are fragments get what they need around them (fragments.ts).

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { freePorts } from '../local/kv.ts'
import { BLOCKS, root } from './blocks.ts'
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

/** The blocks that other tests run: those of a page are one program. */
const READ = Map.groupBy(
  BLOCKS.filter((block) => block.info === 'ts' && !isRun(block)),
  ({ page }) => page,
)

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
  for (const [number, blocks] of [...READ.values()].entries())
    writeFileSync(
      join(directory, `page-${number}.mts`),
      blocks.map((block) => programOf(block, surroundings)).join('\n'),
    )
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
    include: ['*.mts'],
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

test.each([...READ.keys()].map((page, number) => ({ page, number })))(
  'the blocks of $page compile',
  ({ number }) => {
    expect(types.split('\n').filter((line) => line.startsWith(`page-${number}.mts`))).toEqual([])
  },
)

test('nothing else is said against them, and they leave nothing open', () => {
  expect(types.replaceAll(/^(program|page)-\d+\.mts\(.*\n( .*\n)*/gm, '')).toBe('')
  const { code, signal, out, err } = end
  // A program with tests of its own says there what has failed.
  expect({ code, signal, err }, out).toEqual({ code: 0, signal: null, err: '' })
})
