// Requests of a command to the supervisor of a local cluster.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Failure } from '../../local/failure.ts'
import { dataFlag } from '../../local/node/recovery-hints.ts'
import { PROGRAM } from '../../local/program-name.ts'
import type { ControlReply, ControlRequest } from '../../operations/documents/supervisor.ts'
import { io } from '../terminal/io.ts'

export async function sendRequest(
  data: string,
  request: ControlRequest,
): Promise<ControlReply & { ok: true }> {
  return orThrow(await exchange(data, request))
}

export function orThrow(reply: ControlReply): ControlReply & { ok: true } {
  if (!reply.ok) throw new Failure(reply.exitCode, reply.message)
  return reply
}

export async function exchange(data: string, request: ControlRequest): Promise<ControlReply> {
  const { sendCommand } = await import('../../local/supervisor/supervisor-socket.ts')
  const { findSupervisor } = await import('../../local/supervisor/supervisor-lock.ts')
  const supervisor = await findSupervisor(resolvePath(data))
  if (supervisor === undefined)
    throw new Failure(7, `${notRunning(data)}; start one with ${PROGRAM} cluster start${dataFlag(data)}`)
  return sendCommand(supervisor, request)
}

export function notRunning(data: string): string {
  return `no local cluster runs in ${data}${existsSync(resolvePath(data)) ? '' : ': there is no such directory'}`
}

/** The absolute path of --data. */
export const resolvePath = (data: string): string => resolve(io().cwd, data)
