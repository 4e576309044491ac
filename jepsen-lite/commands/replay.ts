// `jepsen-lite replay`: shows a schedule that `sim` has written, event by event, up to the moment where it broke.

import { readFileSync } from 'node:fs'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { LAB_PORT } from '../../src/console/lab-port.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { formatLink, parseLink } from '../lab/index.ts'
import { judgedAny, replayAny } from '../recipes/index.ts'
import { parseSchedule, type Schedule, sentenceOfRule } from '../sim/index.ts'
import { loadRule } from '../wrong-rules/load-rule.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('replay')
    .description('show a schedule of the simulator, one event a line, a column per node')
    .argument('<file>', 'as written by `jepsen-lite sim`, or with the address of a run of the lab')
    .option('--lab', 'only print the address of the run in the lab, which `quorate lab` serves')
    .action(async (file, { lab }) => {
      const schedule = read(file)
      if (lab === true) {
        process.stdout.write(`${labAddress(schedule, file)}\n`)
        return
      }
      const { rule } = schedule
      await loadRule(rule)
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

function labAddress(schedule: Schedule, file: string): string {
  if (schedule.recipe !== undefined)
    throw new CommandError(`${file}: the lab runs no clients with recipes; replay it without --lab`)
  return `http://127.0.0.1:${LAB_PORT}/#${formatLink(schedule)}`
}

function read(file: string): Schedule {
  try {
    const text = readFileSync(file, 'utf8').trim()
    return text.startsWith('{') ? parseSchedule(text) : parseLink(text.slice(text.indexOf('#') + 1))
  } catch (error) {
    throw new CommandError(`${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
