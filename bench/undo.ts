// Clean-up of the program: every process and file that it makes registers how to undo it, however the program ends.

const steps: (() => Promise<unknown>)[] = []

/** Called before the thing is made, so that nothing is left when making it is interrupted. */
export function atTheEnd(step: () => Promise<unknown>): void {
  steps.push(step)
}

/** The last thing first. A step that fails does not keep the others from being done. */
export async function undoAll(failed: (message: string) => void): Promise<void> {
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    await step().catch((error) => failed(String(error)))
  }
}
