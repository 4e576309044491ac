// `jepsen-lite study`: one kind of partition against a cluster of real processes, with clients at every level of
// consistency on both sides.

import { randomInt } from 'node:crypto'
import { type CommandUnknownOpts, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { CommandError } from '../exit-codes.ts'
import { type StudyOptions, study } from '../study/index.ts'
import { renderMarkdown } from '../study/markdown.ts'
import { CUTS } from '../study/partition.ts'
import { progress, whole } from './flags.ts'

const DEFAULTS = {
  nodes: 5,
  rounds: 5,
  time: 5,
  rate: 20,
  timeout: 1_000,
  maxStaleness: 300,
  delay: 5,
  portFrom: 18_301,
}

const PHASE_SECONDS_MAX = 600

export function add(program: CommandUnknownOpts): void {
  program
    .command('study')
    .description(
      'partitions a cluster, with clients at every level of consistency on both sides; shows what each level gave',
    )
    .option(
      '--nodes <number>',
      'nodes of the cluster; the leader is cut off, with as many followers as possible while the rest is a majority',
      whole(3, 9),
      DEFAULTS.nodes,
    )
    .option('--rounds <number>', 'number of partitions, one after the other', whole(1, 100), DEFAULTS.rounds)
    .option(
      '--time <seconds>',
      'length of each phase: before, in and after the partition; or three numbers, separated by commas',
      seconds,
      [DEFAULTS.time, DEFAULTS.time, DEFAULTS.time],
    )
    .option('--rate <number>', 'requests a second at each level on each side', whole(5, 200), DEFAULTS.rate)
    .option('--timeout <ms>', 'the deadline of a request', whole(100, 60_000), DEFAULTS.timeout)
    .option(
      '--max-staleness <ms>',
      'the bound of the level `bounded`',
      whole(1, 60_000),
      DEFAULTS.maxStaleness,
    )
    .option('--delay <ms>', 'delay from one node to another, one way', whole(0, 100), DEFAULTS.delay)
    .addOption(
      new Option('--leases <state>', 'leader leases').choices(['on', 'off'] as const).default('on' as const),
    )
    .addOption(
      new Option(
        '--cut <kind>',
        'silent: no bytes pass, and no node is notified; refused: connections are reset and refused',
      )
        .choices(CUTS)
        .default('silent' as const),
    )
    .option(
      '--out <dir>',
      'directory for the history, the results, the Markdown, the pictures and the page',
      'jepsen-lite-study',
    )
    .option('--seed <number>', 'repeat the random choices of an earlier study', whole(0, 0xffff_ffff))
    .option(
      '--port <number>',
      'first port to try for the nodes’ APIs',
      whole(1024, 65_000),
      DEFAULTS.portFrom,
    )
    .addOption(
      new Option('-o, --output <format>', 'what to print on stdout')
        .choices(['text', 'json'] as const)
        .default('text' as const),
    )
    .action(async (flags) => {
      const [before = 0, during = 0, after = 0] = flags.time.map((time) => time * 1_000)
      if (flags.timeout >= Math.min(before, during, after))
        throw new CommandError(
          'each phase of --time must be longer than --timeout: only requests with a deadline in the same phase count',
        )
      const seed = flags.seed ?? randomInt(0xffff_ffff)
      const abort = new AbortController()
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort())
      const options: StudyOptions = {
        nodes: flags.nodes,
        rounds: flags.rounds,
        phaseMs: { before, during, after },
        rate: flags.rate,
        timeoutMs: flags.timeout,
        maxStalenessMs: flags.maxStaleness,
        delayMs: flags.delay,
        leases: flags.leases === 'on',
        cut: flags.cut,
        seed,
        out: flags.out,
        portFrom: flags.port,
        command:
          `jepsen-lite study --nodes ${flags.nodes} --rounds ${flags.rounds} --time ${flags.time.join(',')} --rate ${flags.rate} --timeout ${flags.timeout} ` +
          `--max-staleness ${flags.maxStaleness} --delay ${flags.delay} --leases ${flags.leases} --cut ${flags.cut} --seed ${seed}`,
        signal: abort.signal,
        say: progress(),
      }
      const results = await study(options)
      const { columns } = process.stdout
      process.stdout.write(
        flags.output === 'json' ? `${JSON.stringify(results)}\n` : renderMarkdown(results, columns),
      )
      // Behind the tables, where a reader of a terminal looks first.
      for (const { kind, message } of results.findings) process.stderr.write(`${kind}: ${message}\n`)
      process.stderr.write(`${results.verdict}: ${flags.out}/study.md, study.json, history.jsonl\n`)
      process.exitCode = results.exit_code
    })
}

/** One number for all phases, or one number for each phase. */
function seconds(text: string): number[] {
  const times = text.split(',').map(Number)
  const three = times.length === 1 ? [...times, ...times, ...times] : times
  if (three.length !== 3 || !three.every((time) => time > 0 && time <= PHASE_SECONDS_MAX))
    throw new InvalidArgumentError(
      `It must be one number or three, each above 0 and at most ${PHASE_SECONDS_MAX}.`,
    )
  return three
}
