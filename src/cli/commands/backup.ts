// kv backup save | show | verify

import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import { QuorateError } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { outputFormat } from '../flags/global-flags.ts'
import { userPath } from '../terminal/io.ts'
import { printJson, say, write } from '../terminal/output.ts'
import { byteCount, keyCount, ProgressDisplay } from '../terminal/progress.ts'
import { confirm } from '../terminal/questions.ts'
import { headerJson, onFiles, printFields, summaryJson } from '../transfer/backup.ts'

export const command = (context: ProgramContext) =>
  new Command('backup')
    .description('save all of the store in a file, and look at such files')
    .addCommand(saveCommand(context))
    .addCommand(showCommand(context))
    .addCommand(verifyCommand(context))

/** Timeout for each 4 MB, not for the whole backup. */
const TIMEOUT_MS = 30_000

const saveCommand = ({ flags }: ProgramContext) =>
  withExamples(new Command('save'), [
    'kv backup save store.backup',
    'kv backup save - | gzip > store.backup.gz',
  ])
    .description('save the store as it is now, with leases, users and history')
    .argument('<file>', 'the file; or - for stdout')
    .option('--no-history', 'without the versions of keys that were replaced')
    .option('--force', 'overwrite a file that exists, without a question')
    .addHelpText('after', SAVE_NOTES)
    .action(async (file, { history, force }) => {
      const directory = dirname(userPath(file))
      if (file !== '-' && !existsSync(directory))
        throw new Failure(EXIT.failed, `there is no directory ${directory}`)
      if (file !== '-' && force !== true && existsSync(userPath(file)))
        await confirm(`${file} exists, and would be overwritten`, undefined, '--force')
      await withContext(
        flags(),
        { kind: 'read' },
        async ({ client, signal, format }) => {
          if (file === '-') {
            for await (const chunk of client.backup({ history, signal })) await write(chunk)
            return
          }
          const path = userPath(file)
          const { writeBackup } = await import('../../backup/file.ts')
          const progress = new ProgressDisplay()
          const shown = async function* () {
            let bytes = 0
            for await (const chunk of client.backup({ history, signal })) {
              yield chunk
              bytes += chunk.length
              progress.show(() => `saved ${byteCount(bytes)}`)
            }
          }
          const saved = () => onFiles(path, () => writeBackup(path, shown())).finally(() => progress.clear())
          const summary = await atEachNode(client.endpoints.length, saved)
          if (await printJson(format, summaryJson(summary))) return
          const { state, bytes } = summary
          say(`saved revision ${state.revision}: ${keyCount(state.keys)}, ${byteCount(bytes)} in ${file}`)
        },
        { timeoutMs: TIMEOUT_MS },
      )
    })

/** When a node fails in the middle of a backup, another one begins the file anew. */
async function atEachNode<T>(nodes: number, save: () => Promise<T>): Promise<T> {
  for (let left = nodes; ; left--) {
    try {
      return await save()
    } catch (error) {
      if (!(error instanceof QuorateError) || error.code !== 'incomplete' || left <= 1) throw error
      say(`${error.message}; another node begins it anew`)
    }
  }
}

const SAVE_NOTES = `
The file has its name when it is complete, checked and durable; until then another one, which ends
in .partial. What goes to stdout is checked by: ${PROGRAM} backup verify`

const showCommand = ({ flags }: ProgramContext) =>
  withExamples(new Command('show'), ['kv backup show store.backup', 'kv backup show store.backup -o json'])
    .description('what a backup holds, by its header; verify reads all of it')
    .argument('<file>', 'the file')
    .action(async (file) => {
      const { readBackupHeader } = await import('../../backup/file.ts')
      const path = userPath(file)
      const fields = await onFiles(path, async () => headerJson(await readBackupHeader(path)))
      await printFields(outputFormat(flags()), fields)
    })

const verifyCommand = ({ flags }: ProgramContext) =>
  withExamples(new Command('verify'), [
    'kv backup verify store.backup',
    'kv backup verify store.backup --restore',
  ])
    .description('read a backup to its end and check that nothing is missing or changed')
    .argument('<file>', 'the file')
    .option('--restore', 'also restore it into a temporary directory, and start a node from that')
    .action(async (file, { restore }) => {
      const path = userPath(file)
      const { verifyFile } = await import('../../backup/file.ts')
      const summary = await onFiles(path, () => verifyFile(path))
      if (restore === true) {
        const { rehearse } = await import('../transfer/backup-rehearsal.ts')
        await onFiles(path, () => rehearse(path, summary))
      }
      const { keys, revision } = summary.state
      if (await printJson(outputFormat(flags()), summaryJson(summary))) return
      const served = restore ? '; a node that was restored from it serves them' : ''
      say(`${file} is whole: revision ${revision}, ${keyCount(keys)}${served}`)
    })
