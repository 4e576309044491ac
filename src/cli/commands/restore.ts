// kv restore FILE: makes the first node of a new cluster from a backup.

import { Command } from '@commander-js/extra-typings'
import { BUMP_DEFAULT } from '../../backup/bump.ts'
import { shellWord } from '../../bytes/shell-word.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { hostPort } from '../../system/addresses.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { listenAddress, nodeName } from '../flags/address-values.ts'
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
import { keyCount } from '../terminal/progress.ts'
import { onFiles } from '../transfer/backup.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('restore'), [
    'kv restore store.backup --data d1 --name n1 --listen 127.0.0.1:7301 --peer-listen 127.0.0.1:7401',
  ])
    .description('make the first node of a new cluster from a backup; the others join it')
    .argument('<file>', 'the backup')
    .requiredOption('--data <dir>', 'the data directory of the node: a new or an empty one', directory)
    .requiredOption('--name <name>', 'its name in the cluster: 1 to 63 of a-z, 0-9 and -', nodeName)
    .requiredOption('--listen <host:port>', 'where clients will reach it', listenAddress)
    .requiredOption('--peer-listen <host:port>', 'where the other nodes will reach it', listenAddress)
    .option(RESET_ROOT, RESET_ROOT_HELP)
    .option(PASSWORD_FILE, PASSWORD_FILE_HELP, parseText)
    .option('--bump <revisions>', BUMP_HELP, parseBump, BUMP_DEFAULT)
    .action(async (file, { data, name, listen, peerListen, bump, ...flagsOfRoot }) => {
      const { restoreFile } = await import('../../backup/restore.ts')
      const path = userPath(file)
      const node = {
        dir: userPath(data),
        name,
        peer: hostPort(peerListen),
        url: `http://${hostPort(listen)}`,
      }
      const rootPasswordHash = await newRootHash(flagsOfRoot)
      const { clusterId, state, hasRootPassword } = await onFiles(path, () =>
        restoreFile(path, node, { bump, rootPasswordHash }),
      )
      const { revision, keys } = state
      const format = outputFormat(flags())
      const json = { cluster_id: clusterId, name, revision, keys }
      await printResult(
        format,
        json,
        clusterId,
        `cluster ${clusterId}: ${keyCount(keys)} at revision ${revision}`,
      )
      if (state.auth.enabled && !hasRootPassword)
        say('rights are checked, and root has no password: root needs its certificate, or --reset-root here')
      say(
        `start it: ${PROGRAM} node start --name ${name} --data ${shellWord(data)} --listen ${hostPort(listen)} --peer-listen ${hostPort(peerListen)}`,
      )
    })
