// kv leader transfer [NODE]

import { Command } from '@commander-js/extra-typings'
import { PROGRAM } from '../../local/program-name.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { parseText } from '../flags/flag-values.ts'
import { printResult } from '../terminal/output.ts'

export const command = (context: ProgramContext) =>
  new Command('leader').description('move leadership').addCommand(transferCommand(context))

const transferCommand = ({ flags }: ProgramContext) =>
  withExamples(new Command('transfer'), ['kv leader transfer', 'kv leader transfer n2'])
    .description('hand leadership to another node')
    .argument('[node]', 'its name; without it, the node that is best prepared', parseText)
    .action(async (node) => {
      const intent = { kind: 'write', check: `${PROGRAM} status` } as const
      await withContext(flags(), intent, async ({ client, format, signal }) => {
        const leader = await client.transferLeader(node, { signal })
        await printResult(format, { leader }, leader, `${leader} leads now`)
      })
    })
