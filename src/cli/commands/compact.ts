// kv compact REVISION: removes history before this revision.

import { Command } from '@commander-js/extra-typings'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { parseRevision } from '../flags/flag-values.ts'
import { printResult } from '../terminal/output.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('compact'), ['kv compact 4200'])
    .description('forget how the store was before a revision')
    .argument('<revision>', 'the first one that can still be read', parseRevision)
    .action(async (revision) => {
      await withContext(flags(), { kind: 'write' }, async ({ client, format, signal }) => {
        const result = await client.compact(revision, { signal })
        const first = result.compactRevision
        const json = { compact_revision: first, revision: result.revision }
        await printResult(format, json, String(first), `history begins at revision ${first}`)
      })
    })
