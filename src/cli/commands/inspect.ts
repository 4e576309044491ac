// kv inspect DIR…: the replicas in stopped data directories.

import { Command } from '@commander-js/extra-typings'
import { shellWord } from '../../bytes/shell-word.ts'
import { Failure } from '../../local/failure.ts'
import { clusterDirectoryAdvice, startCommandFor } from '../../local/node/recovery-hints.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { isStorageError } from '../../server/replica/inspect-data-directory.ts'
import type { ReplicaSummary } from '../../server/replica/stopped-replica.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { outputFormat } from '../flags/global-flags.ts'
import { userPath } from '../terminal/io.ts'
import { say } from '../terminal/output.ts'
import { printList } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('inspect'), ['kv inspect d1', 'kv inspect d1 d2 d3 -o json'])
    .description('what stopped replicas hold, and which of them has the most complete log')
    .argument('<dir...>', 'their data directories')
    .action(async (dirs) => {
      const { findBestReplica, inspectReplica, votersAmong } = await import(
        '../../server/replica/stopped-replica.ts'
      )
      const found: ReplicaSummary[] = []
      const unreadable: string[] = []
      for (const dir of dirs) {
        const advice = clusterDirectoryAdvice(userPath(dir), 'inspect')
        if (advice !== undefined) throw new Failure(EXIT.failed, advice)
        try {
          found.push({ ...(await inspectReplica(userPath(dir))), dir })
        } catch (error) {
          if (!isStorageError(error)) throw error
          unreadable.push(error.message)
        }
      }
      const best = findBestReplica(found)
      const format = outputFormat(flags())
      const rows = found.map((replica) => ({ ...replicaJson(replica), best: replica === best }))
      if (rows.length > 0 || format === 'json') await printList<Row>(format, rows, (row) => row, COLUMNS)
      for (const message of unreadable) say(`error: ${message}`)
      if (found.length > 0 && best === undefined) say('they are of different clusters')
      if (best !== undefined && found.length > 1) {
        const voters = votersAmong(found, best)
        say(
          voters.isMajority
            ? `${voters.here.length} of the ${voters.count} voters are here: ${startAdvice(found)}; ${PROGRAM} recover is only for a lost majority`
            : `${best.name} has the most complete log: ${PROGRAM} recover --data ${shellWord(best.dir)} --yes-lose-data`,
        )
      }
      if (unreadable.length > 0) throw new Failure(EXIT.failed, '')
    })

function startAdvice(replicas: readonly ReplicaSummary[]): string {
  const command = startCommandFor(replicas.map(({ dir }) => userPath(dir)))
  return command === undefined ? 'start them' : `start them (${command})`
}

type Row = ReturnType<typeof replicaJson> & { readonly best: boolean }

export const replicaJson = (replica: ReplicaSummary) => ({
  dir: replica.dir,
  name: replica.name,
  cluster_id: replica.clusterId,
  replica_id: replica.replicaId,
  term: replica.term,
  last_term: replica.lastTerm,
  last_index: replica.lastIndex,
  commit_index: replica.commitIndex,
  applied_index: replica.appliedIndex,
  revision: replica.revision,
  keys: replica.keys,
  members: replica.members.map(({ name, role, url }) => ({ name, role, url })),
})

const COLUMNS = [
  { title: 'DIR', cell: (row: Row) => row.dir, keepsEnd: true },
  { title: 'NAME', cell: (row: Row) => row.name },
  { title: 'CLUSTER', cell: (row: Row) => row.cluster_id },
  { title: 'TERM', cell: (row: Row) => row.term, alignRight: true },
  { title: 'LAST TERM', cell: (row: Row) => row.last_term, alignRight: true },
  { title: 'LAST', cell: (row: Row) => row.last_index, alignRight: true },
  { title: 'COMMIT', cell: (row: Row) => row.commit_index, alignRight: true },
  { title: 'REVISION', cell: (row: Row) => row.revision, alignRight: true },
  { title: 'KEYS', cell: (row: Row) => row.keys, alignRight: true },
  { title: 'MEMBERS', cell: (row: Row) => row.members.map(({ name }) => name).join(',') },
  { title: 'BEST', cell: (row: Row) => (row.best ? 'best' : undefined) },
]
