// `jepsen-lite run`: faults against a cluster of real processes.

import { randomInt } from 'node:crypto'
import { type CommandUnknownOpts, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { CommandError } from '../exit-codes.ts'
import { chooseNemeses, GROUPS, NEMESES, withElections } from '../local/catalogue.ts'
import type { LocalRunOptions } from '../local/options.ts'
import type { Results } from '../local/results.ts'
import { run } from '../local/run.ts'
import { WIRE_NAMES } from '../local/wires/index.ts'
import { WORKLOADS } from '../local/workloads.ts'
import { list, progress, whole } from './flags.ts'
import { coloured, duration, number, plural, table } from './format-text.ts'

const DEFAULTS = { time: 60, rate: 200, clients: 10, nodes: 5, portFrom: 17_301 }

export function add(program: CommandUnknownOpts): void {
  program
    .command('run')
    .description('break a cluster of real processes on this machine, and check what its clients saw')
    .option('--time <seconds>', 'how long clients and faults are at work', atLeast(3), DEFAULTS.time)
    .addOption(
      new Option('--workload <name>', 'what the clients do').choices(WORKLOADS).default('register' as const),
    )
    .option('--nemesis <list>', `kinds or groups, joined by commas: all, ${GROUPS.join(', ')}`, list, [
      'partition',
      'kill',
      'pause',
    ])
    .addOption(
      new Option('--wire <name>', 'what the clients speak: the HTTP API, or etcd’s API over gRPC')
        .choices(WIRE_NAMES)
        .default('http' as const),
    )
    .option('--rate <number>', 'operations a second, of all clients together', atLeast(1), DEFAULTS.rate)
    .option(
      '--clients <number>',
      'clients; half of them stay with one node each',
      whole(1, 200),
      DEFAULTS.clients,
    )
    .option('--nodes <number>', 'voters at the start', whole(1, 9), DEFAULTS.nodes)
    .option('--tls', 'peers and clients use TLS, with certificates made for the run', false)
    .option('--out <dir>', 'where history, results and the nodes’ logs go', 'jepsen-lite-run')
    .option('--seed <number>', 'repeat the random choices of an earlier run', whole(0, 0xffff_ffff))
    .option(
      '--port <number>',
      'first port to try for the nodes’ APIs',
      whole(1024, 65_000),
      DEFAULTS.portFrom,
    )
    .addOption(
      new Option('-o, --output <format>', 'what stdout gets')
        .choices(['text', 'json'])
        .default('text' as const),
    )
    .addHelpText(
      'after',
      () => `\nNemeses:\n${NEMESES.map(({ kind, says }) => `  ${kind.padEnd(16)}${says}`).join('\n')}\n`,
    )
    .action(async (flags) => {
      const nemeses = chooseNemeses(flags.nemesis)
      if (typeof nemeses === 'string') throw new CommandError(nemeses)
      const seed = flags.seed ?? randomInt(0xffff_ffff)
      const abort = new AbortController()
      const interrupted = (): void => abort.abort()
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupted)
      const options: LocalRunOptions = {
        timeS: flags.time,
        workload: flags.workload,
        wire: flags.wire,
        nemeses: withElections(nemeses),
        rate: flags.rate,
        clients: flags.clients,
        nodes: flags.nodes,
        tls: flags.tls,
        out: flags.out,
        seed,
        command:
          `jepsen-lite run --time ${flags.time} --workload ${flags.workload} --wire ${flags.wire} --nemesis ${flags.nemesis.join(',')} --rate ${flags.rate} ` +
          `--clients ${flags.clients} --nodes ${flags.nodes} ${flags.tls ? '--tls ' : ''}--seed ${seed} --out ${flags.out}`,
        portFrom: flags.port,
        signal: abort.signal,
        say: progress(),
      }
      const results = await run(options)
      process.stdout.write(
        flags.output === 'json' ? `${JSON.stringify(results)}\n` : summary(results, flags.out),
      )
      process.exitCode = results.exit_code
    })
}

function summary(results: Results, out: string): string {
  const { operations, faults, skipped, findings, findings_count, checked } = results
  const lines = [
    ...table([
      ['operation', 'ok', 'not applied', 'failed', 'unknown'],
      ...Object.entries(operations).map(([f, { ok, not_applied, fail, unknown }]) => [
        f,
        ...[ok, not_applied, fail, unknown].map(number),
      ]),
    ]),
    '',
    ...table([
      ['fault', 'took effect', 'writes again after (median)', '(longest)'],
      ...Object.entries(faults).map(([kind, { injected, took_effect, recovery_ms }]) => [
        kind,
        `${took_effect} of ${injected}`,
        ...(recovery_ms === null ? ['–', '–'] : [duration(recovery_ms.p50), duration(recovery_ms.max)]),
      ]),
    ]),
    ...Object.entries(skipped).map(([kind, why]) => `${kind} was skipped because ${why}`),
    '',
    `${plural(results.elections, 'election')}, ${plural(results.snapshots_installed, 'installed snapshot')}; ` +
      (results.recovered_ms === null
        ? 'not all nodes were ready at the end'
        : `all nodes were ready ${duration(results.recovered_ms)} after the last healing began`),
    ...findings.map(({ kind, message }) => coloured('red', `${kind}: ${message}`)),
    ...(findings_count > findings.length ? [`… and ${findings_count - findings.length} more`] : []),
    ...(checked.verdict === 'violation' ? [`witness: npx jepsen-lite check ${out}/history.jsonl`] : []),
    coloured(
      results.exit_code === 0 ? 'green' : 'red',
      `${results.verdict}: ${answered(results)} of ${plural(checked.operations, 'operation')} answered`,
    ),
    `again:   npx ${results.command}`,
    `history: ${out}/history.jsonl`,
    `report:  ${out}/report.html`,
  ]
  return `${lines.join('\n')}\n`
}

const answered = ({ checked }: Results): string =>
  number(checked.operations - checked.unknown - checked.failed)

function atLeast(min: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (!Number.isFinite(number) || number < min)
      throw new InvalidArgumentError(`It must be a number of at least ${min}.`)
    return number
  }
}
