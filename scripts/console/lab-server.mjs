// The lab of this checkout, in a process of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const KV = join(import.meta.dirname, '../../bin/kv.js')

export async function startLab(port) {
  const lab = spawn(process.execPath, [KV, 'lab', '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(lab.stdout, 'data')
  return { address: String(line).trim(), close: () => lab.kill('SIGINT') }
}
