// `jepsen-lite replay`: shows a schedule that `sim` has written, event by event, up to the moment where it broke.

import { readFileSync } from 'node:fs'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { CommandError, EXIT } from '../exit-codes.ts'
import { breakingMoment, parseRunFile, type RunFile } from '../lab/index.ts'
import { judgedAny, replayAny } from '../recipes/index.ts'
import { sentenceOfRule, wrongRule } from '../sim/index.ts'
import { loadRule } from '../wrong-rules/load-rule.ts'
import { labAddress } from './lab-address.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('replay')
    .description('show a schedule of the simulator, one event a line, a column per node')
    .argument('<file>', 'as written by `jepsen-lite sim`, or with the address of a run of the lab')
    .option(
      '--lab',
      'only print the address of the run in the lab (`quorate lab`), shortly before it breaks a rule',
    )
    .action(async (file, { lab }) => {
      const run = read(file)
      const { schedule } = run
      await loadRule(schedule.rule)
      if (lab === true) {
        await printAddress(run, file)
        return
      }
      const rule = wrongRule(schedule.rule ?? '')
      if (rule !== undefined) process.stdout.write(`${sentenceOfRule(rule)}\n`)
      const { violation } = await replayAny(schedule, (line) => process.stdout.write(`${line}\n`))
      if (violation !== undefined) process.exitCode = EXIT.violation
      else {
        const found = (await judgedAny(schedule)).violation
        if (found !== undefined) process.stdout.write(`BROKEN for its clients: ${found.detail}\n`)
        process.exitCode = found === undefined ? EXIT.ok : EXIT.violation
      }
    })
}

/** Runs it, to know the moment. */
async function printAddress({ schedule, at, detail }: RunFile, file: string): Promise<void> {
  const result = await judgedAny(schedule)
  const breaksAt = breakingMoment(result, schedule.config)
  const { address, refusal } = labAddress(schedule, breaksAt ?? at)
  if (address === undefined) throw new CommandError(`${file}: ${refusal}`)
  if (result.violation !== undefined) process.stderr.write(`${result.violation.detail}\n`)
  else if (detail !== undefined) process.stderr.write(`no rule is broken any more; it was ${detail}\n`)
  process.stdout.write(`${address}\n`)
}

function read(file: string): RunFile {
  try {
    return parseRunFile(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CommandError(`${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
