// A backup: the bytes of a file, in one stream. The file says itself whether it is complete.

import { withQuery } from './address.ts'
import { type ApiCall, readFrom } from './administration.ts'
import { incomplete } from './decode.ts'
import { QuorateError } from './errors.ts'
import type { Interruption } from './interruption.ts'
import { ChunkReader, throwIf } from './list.ts'
import type { BackupOptions } from './types.ts'
import { checkBackup } from './validate-arguments.ts'

/** Each 4 MB must arrive within `timeoutMs`. The time that the consumer takes for them does not count. */
export async function* backup(
  call: ApiCall,
  options: BackupOptions,
  timeoutMs: number,
  interruption: Interruption,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkBackup('backup', options)
  const { history } = options
  const answer = await readFrom(call, withQuery('/v1/backup', { history }), options, true)
  const endpoint = answer.endpoint.url
  if (answer.kind !== 'streaming' || 'messages' in answer.stream)
    throw incomplete('the node does not stream', endpoint)
  const { stream } = answer
  const stopListening = interruption.listen(() => stream.destroy())
  const reader = new ChunkReader(stream, options.timeoutMs ?? timeoutMs)
  try {
    yield* reader.chunks()
  } catch (error) {
    throwIf(interruption.reason())
    if (error instanceof QuorateError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    const text = reader.stoodStillMs === undefined ? `broke: ${reason}` : 'stood still for too long'
    throw incomplete(`the stream of the backup ${text}`, endpoint, error)
  } finally {
    stopListening()
    stream.destroy()
  }
  throwIf(interruption.reason())
}
