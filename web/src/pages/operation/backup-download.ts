// A backup as a file of the user: streamed to the disk where the browser can, otherwise held until it is whole.

import { backup } from '../../../../src/operations/backup.ts'
import { openStream } from '../../cluster/connection.ts'

/** Limit for a file that is held in memory. */
export const HELD_BYTES_MAX = 2 ** 30

/** The part of the File System Access API that TypeScript does not describe. */
interface PickedFile {
  readonly name: string
  readonly createWritable: () => Promise<PickedWriter>
  readonly remove?: () => Promise<void>
}
interface PickedWriter {
  readonly write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>
  readonly close: () => Promise<void>
  readonly abort: () => Promise<void>
}
interface Picker {
  readonly showSaveFilePicker?: (options: { readonly suggestedName: string }) => Promise<PickedFile>
}

/** Where a backup goes. It gets its name when it is whole. */
export interface BackupDownload {
  readonly name: string
  readonly write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>
  readonly finish: () => Promise<void>
  readonly giveUp: () => Promise<void>
}

/** `quorate-2026-11-28T17-30-05Z.backup`. */
export const backupName = (now: Date): string =>
  `quorate-${now.toISOString().slice(0, 19).replaceAll(':', '-')}Z.backup`

/** Asks for a file where the browser can; undefined: the user has chosen none. */
export async function chooseTarget(name: string): Promise<BackupDownload | undefined> {
  const { showSaveFilePicker } = window as Picker
  if (showSaveFilePicker === undefined) return heldTarget(name)
  try {
    const file = await showSaveFilePicker.call(window, { suggestedName: name })
    const writer = await file.createWritable()
    return {
      name: file.name,
      write: (bytes) => writer.write(bytes),
      finish: () => writer.close(),
      giveUp: async () => {
        await writer.abort()
        // The dialog of the browser has made an empty file.
        await file.remove?.()
      },
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return undefined
    throw error
  }
}

function heldTarget(name: string): BackupDownload {
  let parts: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  return {
    name,
    write: async (bytes) => {
      length += bytes.length
      if (length > HELD_BYTES_MAX) throw new Error('it is larger than this browser can hold')
      parts.push(bytes)
    },
    finish: async () => {
      const url = URL.createObjectURL(new Blob(parts))
      parts = []
      const link = document.createElement('a')
      link.href = url
      link.download = name
      link.click()
      // The browser reads the file after the click.
      setTimeout(() => URL.revokeObjectURL(url), 60_000)
    },
    giveUp: async () => {
      parts = []
    },
  }
}

/** Reads a backup into the target. Resolves with its length; rejects when it is not whole, and gives the target up. */
export async function saveBackup(
  target: BackupDownload,
  history: boolean,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<number> {
  try {
    const stream = await openStream(backup, { kind: 'backup', history }, signal)
    let length = 0
    for await (const bytes of stream) {
      await target.write(bytes)
      length += bytes.length
      onProgress(length)
    }
    await target.finish()
    return length
  } catch (error) {
    await target.giveUp().catch(() => {})
    throw error
  }
}
