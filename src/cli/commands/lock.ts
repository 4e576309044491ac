// kv lock NAME [-- CMD…]: holds a lock while a command runs, or until Ctrl-C.

import { Command } from '@commander-js/extra-typings'
import { shellWord } from '../../local/shell-word.ts'
import { lock } from '../../recipes/index.ts'
import { nameBeforeDashes, splitAtDashes } from '../arguments.ts'
import { withExamples } from '../examples.ts'
import { parseDuration, parseLeaseTime, parseText } from '../flag-values.ts'
import { BEHIND_DASHES, holdWhile } from '../lock-holder.ts'
import type { ProgramContext } from '../program-context.ts'

export const command = ({ flags, argv }: ProgramContext) =>
  withExamples(new Command('lock'), [
    'kv lock deploy -- ./deploy.sh production',
    'kv lock deploy --wait 10s -- make install',
    'kv lock deploy',
  ])
    .description('hold a lock while a command runs, or until Ctrl-C')
    .argument('<name>', 'of the lock', parseText)
    .argument('[command...]', BEHIND_DASHES)
    .option(
      '--wait <duration>',
      'how long to wait for it; 0s: not at all. Otherwise as long as it takes',
      parseDuration,
    )
    .option('--ttl <duration>', 'how long it stays taken after this process has died (10s)', parseLeaseTime)
    .action(async (first, more, options) => {
      const { words, command } = splitAtDashes([first, ...more], argv)
      const name = nameBeforeDashes(words, 1)
      await holdWhile(
        { flags: flags(), what: `the lock ${shellWord(name)}`, command, ...options },
        (client, lockOptions) => lock(client, name, lockOptions),
      )
    })
