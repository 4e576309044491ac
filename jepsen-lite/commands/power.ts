import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { Option } from '@commander-js/extra-typings'
import { CommandError, EXIT } from '../exit-codes.ts'
import { whole } from './flags.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('power')
    .description('cut the power of a node at every moment, and open what that leaves')
    .addOption(
      new Option('--states <n>', 'different states to open at most').argParser(whole(1)).default(2000),
    )
    .addOption(
      new Option('--damaged <n>', 'states to damage as no power cut does, besides')
        .argParser(whole())
        .default(200),
    )
    .addOption(
      new Option('--time <seconds>', 'open no more after this long').argParser(whole(1)).default(600),
    )
    .addOption(
      new Option('--seed <n>', 'of load and states')
        .argParser(whole())
        .default(Date.now() % 2 ** 31, 'new each time'),
    )
    .addOption(
      new Option('--sessions <n>', 'times that the recorded node is started').argParser(whole(1)).default(8),
    )
    .addOption(new Option('--requests <n>', 'in each step of its load').argParser(whole(1)).default(40))
    .option('--lying-disk', 'assume a disk that forgets what was synced: violations must be found', false)
    .option('--out <dir>', 'keep failing states here')
    .addOption(
      new Option('-o, --output <format>', 'of the result')
        .choices(['text', 'json'] as const)
        .default('text' as const),
    )
    .action(async ({ states, damaged, time, seed, sessions, requests, lyingDisk, out, output }) => {
      const { checkSessions, RecordingError, recordSessions, whyNot } = await import('../power/index.ts')
      const { powerText } = await import('../power/text.ts')
      const reason = whyNot()
      if (reason !== undefined) {
        process.stdout.write(
          output === 'json' ? `${JSON.stringify({ skipped: reason })}\n` : `skipped because ${reason}\n`,
        )
        process.exitCode = EXIT.undecided
        return
      }
      const progress = (line: string): void => {
        if (process.stderr.isTTY) process.stderr.write(`${line}\n`)
      }
      const recorded = await recordSessions({ seed, sessions, requests, progress }).catch(
        (error: unknown) => {
          throw error instanceof RecordingError
            ? new CommandError(`nothing could be recorded: ${error.message}`)
            : error
        },
      )
      const report = await checkSessions(recorded, {
        states,
        damaged,
        seconds: time,
        seed,
        lyingDisk,
        out,
        progress,
      })
      process.stdout.write(output === 'json' ? `${JSON.stringify(report)}\n` : powerText(report))
      if (report.violations > 0) process.exitCode = EXIT.violation
      else if (report.failed_session !== null || report.lacking.length > 0) process.exitCode = EXIT.failed
    })
}
