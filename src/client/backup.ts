// A backup: the bytes of a file, in one stream. The file says itself whether it is complete.

import { backup as backupOperation } from '../operations/backup.ts'
import { type RequestCall, readFrom } from './administration.ts'
import { incomplete } from './decode.ts'
import { QuorateError } from './errors.ts'
import type { Interruption } from './interruption.ts'
import { ChunkReader, throwIf } from './list.ts'
import { LEFT_MIN_MS } from './retry-policy.ts'
import type { BackupOptions } from './types.ts'
import { checkBackup } from './validate-arguments.ts'

/** Calls that a backup needs of the client. */
interface BackupCalls {
  readonly call: RequestCall
  readonly timeoutMs: number
  readonly interruption: Interruption
  /** As for a list. */
  readonly streamSilenceMs: (timeoutMs: number) => number | undefined
}

/**
 * Each 4 MB must arrive within `timeoutMs`. The time that the consumer takes for them does not count. Until the first
 * byte another node may serve the backup. Later none can: two nodes do not write the same file.
 */
export async function* backup(
  { call, timeoutMs: usualMs, interruption, streamSilenceMs }: BackupCalls,
  options: BackupOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkBackup('backup', options)
  const { history = true, timeoutMs = usualMs } = options
  const reader = new ChunkReader(timeoutMs)
  reader.silenceMs = options.endpoint === undefined ? streamSilenceMs(timeoutMs) : undefined
  let bytes = 0
  for (;;) {
    const limited = { ...options, timeoutMs: Math.max(1, reader.leftMs) }
    const answer = await reader.timing(readFrom(call, backupOperation, { kind: 'backup', history }, limited))
    const endpoint = answer.endpoint.url
    if (answer.kind !== 'streaming' || 'messages' in answer.stream)
      throw incomplete('the node does not stream', endpoint)
    const { stream } = answer
    const stopListening = interruption.listen(() => stream.destroy())
    try {
      for await (const chunk of reader.chunks(stream)) {
        bytes += chunk.length
        yield chunk
      }
      throwIf(interruption.reason())
      return
    } catch (error) {
      throwIf(interruption.reason())
      if (error instanceof QuorateError) throw error
      answer.endpoint.failed(performance.now())
      if (bytes === 0 && reader.silenceMs !== undefined && reader.leftMs >= LEFT_MIN_MS) continue
      const reason = error instanceof Error ? error.message : String(error)
      const text = reader.stoodStillMs === undefined ? `broke: ${reason}` : 'stood still for too long'
      throw incomplete(`the stream of the backup, after ${bytes} bytes, ${text}`, endpoint, error)
    } finally {
      stopListening()
      stream.destroy()
    }
  }
}
