// kv recover: a new cluster from the only replica that is left.

import { dirname } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import { BUMP_DEFAULT } from '../../backup/bump.ts'
import { shellWord } from '../../bytes/shell-word.ts'
import { Failure } from '../../local/failure.ts'
import { listed, replicasBeside, startCommandFor } from '../../local/node/recovery-hints.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { readClusterId, readQuarantine } from '../../server/replica/inspect-data-directory.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { directory, parseText } from '../flags/flag-values.ts'
import { outputFormat } from '../flags/global-flags.ts'
import {
  BUMP_HELP,
  newRootHash,
  PASSWORD_FILE,
  PASSWORD_FILE_HELP,
  parseBump,
  RESET_ROOT,
  RESET_ROOT_HELP,
} from '../flags/new-cluster-flags.ts'
import { userPath } from '../terminal/io.ts'
import { printResult, say } from '../terminal/output.ts'
import { onFiles } from '../transfer/backup.ts'

export const command = ({ flags: globalFlags }: ProgramContext) =>
  withExamples(new Command('recover'), [
    'kv recover --data d1 --yes-lose-data',
    'kv recover --data d1 --yes-lose-data --reset-root',
  ])
    .description(
      'when the quorum, or the password of root, is lost for good: make a stopped replica the only voter of a new cluster',
    )
    .requiredOption('--data <dir>', 'the data directory of the replica', directory)
    .option('--yes-lose-data', 'accept that changes are lost which this replica does not have')
    .option(RESET_ROOT, RESET_ROOT_HELP)
    .option(PASSWORD_FILE, PASSWORD_FILE_HELP, parseText)
    .option('--bump <revisions>', BUMP_HELP, parseBump, BUMP_DEFAULT)
    .addHelpText('after', NOTES)
    .action(async ({ data, yesLoseData, bump, ...flagsOfRoot }) => {
      if (yesLoseData !== true)
        throw new Failure(
          EXIT.usage,
          `changes that this replica does not have are lost; to do that, add --yes-lose-data (${PROGRAM} inspect DIR… finds the replica that has the most)`,
        )
      const { MemberAnswersError, recoverReplica } = await import('../../server/replica/stopped-replica.ts')
      const path = userPath(data)
      const resetsRoot = flagsOfRoot.resetRoot === true
      await onFiles(path, async () => {
        if (!resetsRoot) await refuseOnlyVoter(path)
        await refuseWithMajority(path, resetsRoot)
      })
      const rootPasswordHash = await newRootHash(flagsOfRoot)
      const recovered = await onFiles(path, () => recoverReplica(path, { bump, rootPasswordHash })).catch(
        (error: unknown) => {
          throw error instanceof MemberAnswersError ? new Failure(EXIT.failed, error.message) : error
        },
      )
      const { clusterId, name, revision, others, oldDir, state, isResumed } = recovered
      const format = outputFormat(globalFlags())
      const json = {
        cluster_id: clusterId,
        name,
        last_revision: revision,
        revision: state.revision,
        old_data: oldDir,
        root_reset: resetsRoot && !isResumed,
      }
      await printResult(format, json, clusterId, `${name} is the only voter of the new cluster ${clusterId}`)
      say(`it has everything up to revision ${revision}; later changes, if there were any, are lost`)
      if (resetsRoot)
        say(
          isResumed
            ? 'this has completed a recovery that was interrupted, with the password of root that was given to that one; if it does not hold, give this command again'
            : 'root has the new password and the role root; all other users keep theirs, and log in again',
        )
      if (others.length > 0)
        say(
          `no members any more: ${others.map((member) => member.name).join(', ')}; add new ones with --join`,
        )
      if (oldDir !== '') say(`the data before the recovery is in ${oldDir}`)
    })

/** A further cluster id would lock out each member that has joined since, and nothing is lost. */
async function refuseOnlyVoter(path: string): Promise<void> {
  if (readClusterId(path) === undefined || readQuarantine(path) !== undefined) return
  const { findOnlyVoter } = await import('../../server/replica/stopped-replica.ts')
  const found = await findOnlyVoter(path)
  if (found === undefined) return
  const start =
    startCommandFor([path]) ?? `${PROGRAM} node start --name ${found.name} --data ${shellWord(path)} …`
  throw new Failure(
    EXIT.failed,
    `${found.name} is the only voter of its cluster ${found.clusterId} already; nothing was changed; ` +
      `start it with ${start}; for a new password of root, add ${RESET_ROOT}`,
  )
}

/** The other voters of a local cluster may lie beside this one, and need only a start. */
async function refuseWithMajority(path: string, resetsRoot: boolean): Promise<void> {
  const beside = replicasBeside(path)
  if (beside.length === 0 || readClusterId(path) === undefined) return
  const { hasBestLog, inspectReplica, votersAmong } = await import('../../server/replica/stopped-replica.ts')
  const self = await inspectReplica(path)
  const { count, here, isMajority } = votersAmong(beside, self)
  if (!isMajority) return
  if (resetsRoot) {
    // Whatever was acknowledged is in the most complete log of a majority.
    const others = await Promise.all(beside.map(({ dir }) => inspectReplica(dir)))
    const better = others.find((other) => other.clusterId === self.clusterId && !hasBestLog(self, [other]))
    if (better === undefined) return
    throw new Failure(
      EXIT.failed,
      `${better.name} has a more complete log than ${self.name}: give --data ${shellWord(better.dir)}`,
    )
  }
  throw new Failure(
    EXIT.failed,
    `${listed(here)} lie in ${dirname(path)}: ${here.length} of the ${count} voters, so the majority is not lost; nothing was changed; ` +
      `start them with ${startCommandFor([path])}; if others of them are damaged for good, move their directories elsewhere first`,
  )
}

const NOTES = `
Refused while another member of the cluster accepts connections. Unless root is reset, also refused if
the replica is the only voter already, as after a recovery, and in a local cluster while the directories
of a majority lie beside this one. The data of the replica is copied:
the new directory takes the place of the old one when it is complete, and the old one stays under
another name.`
