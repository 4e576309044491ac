// `jepsen-lite replay`: shows a schedule that `sim` has written, event by event, up to the moment where it broke.

import { readFileSync } from 'node:fs'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { CommandError, EXIT } from '../exit-codes.ts'
import { judgedAny, replayAny } from '../recipes/index.ts'
import { parseSchedule, type Schedule } from '../sim/index.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('replay')
    .description('show a schedule of the simulator, one event a line, a column per node')
    .argument('<file>', 'as written by `jepsen-lite sim`')
    .action(async (file) => {
      const schedule = read(file)
      const { violation } = await replayAny(schedule, (line) => process.stdout.write(`${line}\n`))
      if (violation !== undefined) process.exitCode = EXIT.violation
      else {
        const found = (await judgedAny(schedule)).violation
        if (found !== undefined) process.stdout.write(`BROKEN for its clients: ${found.detail}\n`)
        process.exitCode = found === undefined ? EXIT.ok : EXIT.violation
      }
    })
}

function read(file: string): Schedule {
  try {
    return parseSchedule(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CommandError(`${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
