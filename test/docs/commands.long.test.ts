// The commands of the pages do what the pages say: their exit codes, and what they print where a page shows it.

import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { freePorts } from '../local/kv.ts'
import type { Block } from './blocks.ts'
import { comparable, isLike } from './compare.ts'
import { answerOf, COMMANDS, isAbout, isRequest, SHELLS, shellBlocksOf } from './handlings.ts'
import { isCommandRun } from './not-run.ts'
import { commandsOf, type Done, type Handling, Shell } from './shell.ts'

interface Step {
  readonly name: string
  /** Undefined: the output of the previous command is compared. */
  readonly command: string | undefined
  readonly handling: Handling
  readonly codes: readonly number[]
  /** The output that the page shows. */
  readonly shown?: string
  readonly prints?: RegExp | undefined
}

interface PossibleStep extends Step {
  /** Programs that the step needs and this machine lacks. */
  readonly lacking: readonly string[]
}

const MISSING = ['curl', 'jq'].filter((program) => spawnSync(program, ['--version']).error !== undefined)

function stepsOf(blocks: readonly Block[]): readonly PossibleStep[] {
  const steps: PossibleStep[] = []
  for (const block of blocks) {
    const own = ownStepsOf(block)
    const all = own.map(({ command, handling }) => `${command} ${handling.before} ${handling.act}`).join()
    const lacking =
      own[0]?.command === undefined ? steps.at(-1)?.lacking : MISSING.filter((name) => all.includes(name))
    steps.push(...own.map((step) => ({ ...step, lacking: lacking ?? [] })))
  }
  return steps
}

function ownStepsOf(block: Block): readonly Step[] {
  if (block.info === 'console') return sessionOf(block)
  if (block.info === 'sh') {
    const commands = commandsOf(block.text).filter((command) => isCommandRun(block, command))
    return commands.map((command) => stepOf(block, command))
  }
  if (isRequest(block)) return [sentAsItIs(stepOf(block, block.text))]
  const answer = answerOf(block)
  if (answer === undefined) throw new Error(`${block.page}:${block.line}: to what is this the answer?`)
  const { to, code = 0 } = answer
  return [
    { name: `${block.page}:${block.line}`, command: to, handling: answer, codes: [code], shown: block.text },
  ]
}

/** A step that sends a request byte by byte, and prints the first line of its answer. */
const sentAsItIs = (step: Step): Step => ({
  ...step,
  command: `exec 3<>/dev/tcp/127.0.0.1/7301
printf '${step.command?.replaceAll('\n', '\\r\\n')}\\r\\n' >&3; head -n 1 <&3; exec 3>&-`,
})

/** The steps of a session: a line behind `$` is a command, the lines up to the next one are its output. */
function sessionOf(block: Block): readonly Step[] {
  const [beginning, ...parts] = block.text.split(/^\$ /m)
  if (beginning !== '') throw new Error(`${block.page}:${block.line}: a session begins with "$ "`)
  return parts.map((part) => {
    const [command = '', ...shown] = part.split('\n')
    const step = stepOf(block, command)
    // On a terminal all but a single value is shown as a table.
    const asTable = / get /.test(command) ? '' : 'KV_OUTPUT=table '
    return { ...step, command: `${asTable}${step.command}`, shown: shown.join('\n') }
  })
}

function stepOf(block: Block, command: string): Step {
  const name = `${block.page}:${block.line} ${command.split('\n')[0]}`
  const {
    change = {},
    prints,
    code,
    ...handling
  } = COMMANDS.find((known) => isAbout(known, block, command)) ?? {}
  let changed = command
  for (const [from, to] of Object.entries(change)) {
    expect(changed).toContain(from)
    changed = changed.replace(from, to)
  }
  const [, either, or = either] = /exit code (\d+)(?: or (\d+))?/.exec(command) ?? []
  return {
    name,
    command: changed,
    handling,
    prints,
    codes: [Number(either ?? code ?? 0), Number(or ?? code ?? 0)],
  }
}

describe.each(Object.entries(SHELLS))('%s', (kind, entries) => {
  const steps = stepsOf(entries.flatMap(shellBlocksOf))
  let cluster: EmbeddedCluster | undefined
  let shell: Shell | undefined
  let done: readonly Done[]

  beforeAll(async () => {
    const port = await freePorts(10)
    if (kind === 'a cluster that is there')
      cluster = await startCluster({ ports: [port, port + 1, port + 2] })
    // The computations on passwords take long on a busy machine.
    const slow = kind === 'users and roles' ? { KV_TIMEOUT: '60s' } : {}
    shell = new Shell(port, cluster ? { KV_ENDPOINTS: cluster.endpoints.join() } : slow)
    done = await shell.run(
      steps.map((step) => (step.lacking.length > 0 ? { ...step, command: undefined } : step)),
    )
  }, 300_000)
  afterAll(async () => {
    shell?.close()
    await cluster?.close()
  })

  const numbered = steps.map((step, at) => ({ ...step, at }))
  const [possible, impossible] = [true, false].map((wanted) =>
    numbered.filter(({ lacking }) => (lacking.length === 0) === wanted),
  ) as [typeof numbered, typeof numbered]
  if (impossible.length > 0)
    console.log(`${impossible.length} commands were not run: this machine has no ${MISSING.join(' and no ')}`)

  test.for(possible)('$name', ({ at, codes, shown, prints }) => {
    const { out, code } = done[at] ?? { out: '', code: undefined }
    expect({ out, code }).toEqual({ out, code: codes.find((either) => either === code) ?? codes[0] })
    if (shown !== undefined && !isLike(shown, out))
      expect(comparable(shown, out)[1]).toBe(comparable(shown, out)[0])
    if (prints !== undefined) expect(out).toMatch(prints)
  })
})
