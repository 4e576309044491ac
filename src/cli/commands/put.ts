// kv put KEY VALUE | - | @FILE | --value V

import { Command } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand, keyArgument } from '../flags/arguments.ts'
import { parseCount, parseLease, parseLeaseTime } from '../flags/flag-values.ts'
import { readValue } from '../flags/value-source.ts'
import { resultJson } from '../format/json.ts'
import { printResult } from '../terminal/output.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('put'), [
    'kv put greeting hello',
    'kv put logo @logo.png',
    'date | kv put now -',
    'kv put lock me --if-absent',
    'kv put counter 5 --if-revision 41',
    'kv put code 4711 --ttl 30s',
  ])
    .description('set a key')
    .argument('<key>')
    .argument('[value]', "the value; '-' reads standard input, @FILE a file")
    .option('--value <value>', 'the value as it is, even when it begins with - or @')
    .option('--if-revision <revision>', "only if this is the key's mod revision", parseCount)
    .option('--if-absent', 'only if the key does not exist')
    .option('--ttl <duration>', 'it is deleted after this time, from 1s on', parseLeaseTime)
    .option('--lease <id>', 'it is deleted when this lease ends', parseLease)
    .action(async (name, source, { value: literal, ifRevision, ifAbsent, ttl: ttlMs, lease }) => {
      const key = keyArgument(name)
      if (ifRevision !== undefined && ifAbsent === true)
        throw new Failure(
          EXIT.usage,
          '--if-revision and --if-absent contradict each other: a key that does not exist has no revision',
        )
      if (ttlMs !== undefined && lease !== undefined)
        throw new Failure(EXIT.usage, '--ttl and --lease contradict each other: a key has one lease')
      const readAt = performance.now()
      const value = await readValue(source, literal, 'put KEY')
      const waitedMs = performance.now() - readAt
      const intent = { kind: 'write', check: getCommand(key) } as const
      await withContext(
        flags(),
        intent,
        async ({ client, format, signal }) => {
          const conditions = {
            ...(ifRevision === undefined ? {} : { ifRevision }),
            ...(ifAbsent === true ? { ifAbsent } : {}),
          }
          const result = await client.put(key, value, { ttlMs, lease, ...conditions, signal })
          const plain = String(result.revision)
          await printResult(format, resultJson(result), plain, `ok, revision ${plain}`)
        },
        { waitedMs },
      )
    })
