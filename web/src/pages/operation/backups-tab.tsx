// Backups: those that the cluster makes by itself, one for now, and how to restore.

import { useState } from 'preact/hooks'
import { type ClusterMember, members } from '../../cluster/cluster-view.ts'
import { findLeader } from '../../cluster/member-state.ts'
import { sumSamples } from '../../cluster/metrics.ts'
import { Button } from '../../design/button.tsx'
import { Command } from '../../design/command.tsx'
import { Empty } from '../../design/empty.tsx'
import { Checkbox } from '../../design/field.tsx'
import { Mark } from '../../design/mark.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatBytes, formatCount, formatDuration } from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import { operands } from '../keys/commands.ts'
import type { TabProps } from './admin-right.ts'
import { backupName, chooseTarget, HELD_BYTES_MAX, saveBackup } from './backup-download.ts'
import { failedChange } from './outcome.tsx'

/** The metrics of scheduled backups: a node has them only with --backup-to. */
const FAILURES = 'quorate_backup_failures_total'
const INTERVAL = 'quorate_backup_interval_seconds'

const isScheduled = ({ metrics }: ClusterMember): boolean => metrics?.has(FAILURES) === true

/** When the leader makes the next one, as a sentence. */
function describeNext(all: readonly ClusterMember[]): string {
  const leader = findLeader(all)
  if (leader === undefined) return 'The next one waits until there is a leader.'
  if (!isScheduled(leader))
    return `${leader.name} leads and makes none: the next one waits until another member leads.`
  const seconds = leader.metrics?.get(INTERVAL)?.[0]?.value
  // A node of an older version.
  if (seconds === undefined)
    return `${leader.name} makes the next one when that is older than its --backup-every.`
  const every = `${leader.name} makes one every ${formatDuration(seconds * 1000)}`
  const age = leader.status?.lastBackupAgeMs
  const leftMs = age === undefined ? 0 : seconds * 1000 - age
  return leftMs > 0
    ? `The next one is due in ${formatDuration(leftMs)}: ${every}.`
    : `The next one is due now: ${every}.`
}

export function BackupsTab({ mayChange }: TabProps) {
  const scheduled = members.value.filter(isScheduled)
  const ages = members.value.flatMap(({ status }) => status?.lastBackupAgeMs ?? [])
  return (
    <section class="operation">
      <section class="operation-part">
        <h2>Scheduled backups</h2>
        {scheduled.length === 0 ? (
          <Empty title="The cluster makes no backups by itself">
            <p>Start every node with these flags, and a directory on another disk than the data:</p>
            <Command text="quorate node start … --backup-to /backup/quorate --backup-every 1h --backup-keep 24" />
          </Empty>
        ) : (
          <>
            <p class="operation-lead">
              {ages.length === 0
                ? 'There is no backup yet.'
                : `The newest one is ${formatDuration(Math.min(...ages))} old.`}{' '}
              {describeNext(members.value)} The target stands in the flags of each node; its API does not tell
              it.
            </p>
            <Table caption="Backups" columns={COLUMNS} rows={members.value} rowKey={({ name }) => name} />
          </>
        )}
      </section>
      {mayChange && <Download />}
      <section class="operation-part">
        <h2>Restore</h2>
        <p class="operation-lead">
          A restore makes the first node of a new cluster from a backup, in an empty directory. The others
          join it. Changes after the backup are lost, and clients must log in again.
        </p>
        <Command
          text={[
            'quorate backup verify store.backup',
            'quorate restore store.backup --data restored/n1 --name n1 \\',
            '  --listen 127.0.0.1:7301 --peer-listen 127.0.0.1:7401',
          ].join('\n')}
        />
      </section>
    </section>
  )
}

const COLUMNS: readonly TableColumn<ClusterMember>[] = [
  { head: 'Node', cell: ({ name }) => <strong class="operation-name">{name}</strong> },
  { head: 'Makes backups while it leads', cell: (member) => (isScheduled(member) ? 'yes' : 'no') },
  {
    head: 'Newest that it knows',
    isNumber: true,
    cell: ({ status }) =>
      status?.lastBackupAgeMs === undefined ? (
        <span class="dim">none</span>
      ) : (
        `${formatDuration(status.lastBackupAgeMs)} old`
      ),
  },
  {
    head: 'Failures since its start',
    isNumber: true,
    cell: ({ metrics }) => {
      const failures = metrics === undefined ? undefined : sumSamples(metrics, FAILURES)
      return failures === undefined ? <span class="dim">–</span> : formatCount(failures)
    },
  },
]

type Progress =
  | { readonly state: 'ready' }
  | { readonly state: 'running'; readonly bytes: number; readonly stop: () => void }
  | { readonly state: 'saved'; readonly bytes: number; readonly name: string }
  | { readonly state: 'failed'; readonly text: string }

function Download() {
  const [history, setHistory] = useState(true)
  const [progress, setProgress] = useState<Progress>({ state: 'ready' })
  const start = async (): Promise<void> => {
    const name = backupName(new Date())
    const ended = new AbortController()
    const stop = (): void => ended.abort()
    try {
      const target = await chooseTarget(name)
      if (target === undefined) return
      setProgress({ state: 'running', bytes: 0, stop })
      const bytes = await saveBackup(target, history, ended.signal, (each) =>
        setProgress({ state: 'running', bytes: each, stop }),
      )
      setProgress({ state: 'saved', bytes, name: target.name })
    } catch (error) {
      const text = ended.signal.aborted ? 'The backup was stopped.' : failedBackup(error)
      setProgress({ state: 'failed', text: `${text} There is no file.` })
    }
  }
  return (
    <section class="operation-part">
      <h2>A backup now</h2>
      <p class="operation-lead">
        All of the store at one revision, with users and roles: the file has the hashes of passwords, and all
        values in the clear. Keep it like the data directories. It needs the permission admin.
      </p>
      <Checkbox label="With the versions that were replaced" checked={history} onChange={setHistory} />
      <div class="page-actions">
        <Button kind="primary" onClick={() => void start()} disabled={progress.state === 'running'}>
          Make a backup and save it
        </Button>
        {progress.state === 'running' && <Button onClick={progress.stop}>Stop</Button>}
      </div>
      <p role="status">
        {progress.state === 'running' && `${formatBytes(progress.bytes)} read …`}
        {progress.state === 'saved' && (
          <>
            <Mark of="written" text={null} /> {progress.name} is saved: {formatBytes(progress.bytes)}.
          </>
        )}
      </p>
      {progress.state === 'saved' && <Command text={`quorate backup verify ${operands(progress.name)}`} />}
      {progress.state === 'failed' && <Notice kind="problem">{progress.text}</Notice>}
      <p class="operation-lead">
        {'showSaveFilePicker' in window
          ? 'The browser writes the file while it arrives, whatever its size, and gives it its name when it is whole.'
          : `This browser holds the file in memory until it is whole, so it may have ${formatBytes(HELD_BYTES_MAX)} at most.`}{' '}
        In the terminal, for any size:
      </p>
      <Command text="quorate backup save store.backup" />
    </section>
  )
}

const failedBackup = (error: unknown): string =>
  failedChange(error).message.replace('Nothing was changed: ', 'The backup failed: ')
