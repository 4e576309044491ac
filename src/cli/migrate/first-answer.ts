// The first request to each side. A wrong address is named soon, and is tried on for as long as a fail-over may take.

import { QuorateError } from '../../client/index.ts'
import { EXIT, errorExitCode } from '../exit-codes.ts'
import { formatMs } from '../format/text.ts'
import { say } from '../terminal/output.ts'

/** An answer that takes longer is reported as missing. */
const SILENT_MS = 3_000

/** `side`: names it for people. */
export async function firstAnswer<T>(
  side: string,
  timeoutMs: number,
  request: (options: { readonly timeoutMs: number }) => Promise<T>,
): Promise<T> {
  if (timeoutMs <= SILENT_MS) return request({ timeoutMs })
  try {
    return await request({ timeoutMs: SILENT_MS })
  } catch (error) {
    if (!mayPass(error)) throw error
    const leftMs = timeoutMs - SILENT_MS
    say(`${side}: ${error.message}; it is tried for ${formatMs(leftMs)} more (--timeout), Ctrl-C ends that`)
    return request({ timeoutMs: leftMs })
  }
}

function mayPass(error: unknown): error is QuorateError {
  if (!(error instanceof QuorateError) || isOtherProtocol(error)) return false
  const code = errorExitCode(error, { kind: 'read' })
  return code === EXIT.unavailable || code === EXIT.unreachable
}

/** Whether what listens there does not speak gRPC. */
export function isOtherProtocol(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && error.code === 'ERR_HTTP2_ERROR') || isOtherProtocol(error.cause)
}
