// kv doctor DIR: checks a stopped data directory, and changes nothing.

import { Command } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { clusterDirectoryAdvice } from '../../local/node/recovery-hints.ts'
import { PROGRAM } from '../../local/program-name.ts'
import type { ReplicaCheck } from '../../server/replica/check-replica.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { outputFormat } from '../flags/global-flags.ts'
import { toJson } from '../format/json.ts'
import { userPath } from '../terminal/io.ts'
import { print, say, writeLine } from '../terminal/output.ts'
import { isTable, printList } from '../terminal/table.ts'
import { replicaJson } from './inspect.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('doctor'), ['kv doctor .kv/cluster/n1', 'kv doctor d1 -o json'])
    .description('check a stopped data directory, and say what to do about each problem')
    .argument('<dir>', 'the data directory of a node that does not run')
    .action(async (dir) => {
      const { checkReplica } = await import('../../server/replica/check-replica.ts')
      const advice = clusterDirectoryAdvice(userPath(dir), 'doctor')
      const { checks, replica } =
        advice === undefined
          ? await checkReplica(userPath(dir), PROGRAM)
          : {
              checks: [{ check: 'directory', result: 'problem', detail: advice } as const],
              replica: undefined,
            }
      const format = outputFormat(flags())
      const isWell = checks.every(({ result }) => result !== 'problem')
      const document = { ok: isWell, checks, replica: replica === undefined ? null : replicaJson(replica) }
      if (format === 'json') await writeLine(toJson(document))
      // Advice is read whole: no line is shortened.
      else if (isTable(format)) for (const check of checks) await print(formatCheck(check))
      else await printList(format, checks, (check) => check, COLUMNS)
      if (isWell) return
      const count = checks.filter(({ result }) => result === 'problem').length
      say(count === 1 ? '1 problem' : `${count} problems`)
      throw new Failure(EXIT.failed, '')
    })

const formatCheck = ({ check, result, detail }: ReplicaCheck): string =>
  `${result.padEnd(8)} ${check.padEnd(12)} ${detail}`

const COLUMNS = [
  { title: 'RESULT', cell: ({ result }: ReplicaCheck) => result },
  { title: 'CHECK', cell: ({ check }: ReplicaCheck) => check },
  { title: 'DETAIL', cell: ({ detail }: ReplicaCheck) => detail },
]
