// `jepsen-lite study`: one partition against a cluster of real processes, with clients at every level of consistency on both sides of it.

import { randomInt } from 'node:crypto'
import { type CommandUnknownOpts, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { CUTS } from '../study/cut.ts'
import { type StudyOptions, study } from '../study/index.ts'
import { markdownOf } from '../study/markdown.ts'

const DEFAULTS = {
  nodes: 5,
  rounds: 3,
  time: 5,
  rate: 20,
  timeout: 1_000,
  maxStaleness: 300,
  delay: 5,
  portFrom: 18_301,
}

export function add(program: CommandUnknownOpts): void {
  program
    .command('study')
    .description(
      'one partition, clients at every level of consistency on both sides: what did each level give?',
    )
    .option(
      '--nodes <number>',
      'of the cluster; the leader is cut off with as many as leave a majority',
      number(3, 9),
      DEFAULTS.nodes,
    )
    .option('--rounds <number>', 'how often the partition is played', number(1, 100), DEFAULTS.rounds)
    .option(
      '--time <seconds>',
      'of each phase: before, in and after the partition',
      number(1.5, 600, { fraction: true }),
      DEFAULTS.time,
    )
    .option('--rate <number>', 'requests a second of each level on each side', number(5, 200), DEFAULTS.rate)
    .option('--timeout <ms>', 'the deadline of a request', number(100, 60_000), DEFAULTS.timeout)
    .option('--max-staleness <ms>', 'what the bounded level allows', number(1, 60_000), DEFAULTS.maxStaleness)
    .option('--delay <ms>', 'from one node to another, one way', number(0, 100), DEFAULTS.delay)
    .addOption(
      new Option('--leases <state>', 'leader leases').choices(['on', 'off'] as const).default('on' as const),
    )
    .addOption(
      new Option('--cut <kind>', 'bytes stop and nobody is told, or connections are refused')
        .choices(CUTS)
        .default('silent' as const),
    )
    .option('--out <dir>', 'where history, results, Markdown and page go', 'jepsen-lite-study')
    .option('--seed <number>', 'repeat the random choices of an earlier study', number(0, 0xffff_ffff))
    .option(
      '--port <number>',
      'first port to try for the nodes’ APIs',
      number(1024, 65_000),
      DEFAULTS.portFrom,
    )
    .addOption(
      new Option('-o, --output <format>', 'what stdout gets')
        .choices(['text', 'json'] as const)
        .default('text' as const),
    )
    .action(async (flags) => {
      const seed = flags.seed ?? randomInt(0xffff_ffff)
      const abort = new AbortController()
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort())
      const options: StudyOptions = {
        nodes: flags.nodes,
        rounds: flags.rounds,
        phaseMs: flags.time * 1_000,
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
          `jepsen-lite study --nodes ${flags.nodes} --rounds ${flags.rounds} --time ${flags.time} --rate ${flags.rate} --timeout ${flags.timeout} ` +
          `--max-staleness ${flags.maxStaleness} --delay ${flags.delay} --leases ${flags.leases} --cut ${flags.cut} --seed ${seed}`,
        signal: abort.signal,
        say: progress(),
      }
      const results = await study(options)
      process.stdout.write(flags.output === 'json' ? `${JSON.stringify(results)}\n` : markdownOf(results))
      process.stderr.write(
        `${results.verdict}: ${flags.out}/study.html, study.md, study.json, history.jsonl\n`,
      )
      process.exitCode = results.exit_code
    })
}

function progress(): (line: string) => void {
  const startedAt = performance.now()
  return (line) => {
    process.stderr.write(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${line}\n`)
  }
}

function number(min: number, max: number, { fraction = false } = {}): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!(value >= min && value <= max) || (!fraction && !Number.isInteger(value)))
      throw new InvalidArgumentError(`It must be a ${fraction ? '' : 'whole '}number from ${min} to ${max}.`)
    return value
  }
}
