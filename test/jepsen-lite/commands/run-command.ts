import { vi } from 'vitest'
import { main } from '../../../jepsen-lite/main.ts'

interface CommandResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `jepsen-lite` in this process, which takes less time than a process of its own. */
export async function runCommand(...args: readonly string[]): Promise<CommandResult> {
  const exitCode = process.exitCode
  process.exitCode = undefined
  const [stdout, stderr] = [captured(process.stdout), captured(process.stderr)]
  try {
    await main(args)
    return { status: Number(process.exitCode ?? 0), stdout: stdout.text(), stderr: stderr.text() }
  } finally {
    stdout.spy.mockRestore()
    stderr.spy.mockRestore()
    process.exitCode = exitCode
  }
}

function captured(stream: NodeJS.WriteStream) {
  const written: string[] = []
  const spy = vi.spyOn(stream, 'write').mockImplementation((chunk) => written.push(String(chunk)) > 0)
  return { spy, text: () => written.join('') }
}
