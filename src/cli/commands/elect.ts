// kv elect NAME [VALUE] [-- CMD…]: leads while a command runs, or until Ctrl-C; kv elect NAME --listen: follows.

import { Command } from '@commander-js/extra-typings'
import { shellWord } from '../../bytes/shell-word.ts'
import { Failure } from '../../local/failure.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { campaign, followLeader, leaderOf } from '../../recipes/index.ts'
import { keySpace } from '../../recipes/key-space.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { COMMAND_HELP, holdWhile } from '../exec/hold-while.ts'
import { EXIT } from '../exit-codes.ts'
import { nameBeforeDashes, splitAtDashes } from '../flags/arguments.ts'
import { parseDuration, parseLeaseTime, parseText } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { toJsonLine } from '../format/json.ts'
import { escapeText, printableText } from '../format/text.ts'
import { print, say, writeLine } from '../terminal/output.ts'

export const command = ({ flags, argv }: ProgramContext) =>
  withExamples(new Command('elect'), [
    'kv elect scheduler -- node scheduler.js',
    'kv elect scheduler http://10.0.0.1:8080 -- ./serve.sh',
    'kv elect scheduler --listen',
  ])
    .description('be elected, and lead while a command runs, or until Ctrl-C')
    .argument('<name>', 'of the election', parseText)
    .argument(
      '[value...]',
      `what others see of this leader, such as its address; and the command, ${COMMAND_HELP}`,
    )
    .option('--listen', 'print each leader, until Ctrl-C')
    .option(
      '--wait <duration>',
      'how long to wait; 0s: not at all. Otherwise as long as it takes',
      parseDuration,
    )
    .option(
      '--ttl <duration>',
      'how long another one waits after this process has died (10s)',
      parseLeaseTime,
    )
    .action(async (first, more, { listen, ...options }) => {
      const { words, command } = splitAtDashes([first, ...more], argv)
      const name = nameBeforeDashes('elect', words, 2)
      if (listen === true) {
        if (words.length + command.length > 1 || Object.keys(options).length > 0)
          throw new Failure(EXIT.usage, '--listen takes no value, no command and no other flag')
        return printLeaders(flags(), name)
      }
      const value = words[1]
      await holdWhile(
        {
          flags: flags(),
          what: `the lead of ${shellWord(name)}`,
          command,
          ...options,
          queuePrefix: keySpace('campaign', 'election', name).prefix,
        },
        (client, lockOptions) => campaign(client, name, { ...lockOptions, value }),
      )
    })

/** Prints a line for each leader, until Ctrl-C. */
async function printLeaders(flags: GlobalFlags, name: string): Promise<void> {
  await withContext(flags, { kind: 'read' }, async ({ client, format, signal }) => {
    // Following waits for a cluster without a limit. A user wants to know soon that there is none.
    await leaderOf(client, name, { signal })
    for await (const leader of followLeader(client, name, { signal })) {
      if (format === 'json' || format === 'ndjson') {
        const json =
          leader === undefined ? null : { token: leader.createRevision, value: bytesDocument(leader.value) }
        await writeLine(toJsonLine({ leader: json }))
      } else if (leader === undefined) say(`nobody leads ${shellWord(name)}`)
      else {
        const value = printableText(leader.value)
        if (format === 'plain') await writeLine(`${leader.createRevision}\t${escapeText(value)}`)
        else await print(value)
      }
    }
  })
}
