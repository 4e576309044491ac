import { existsSync, renameSync } from 'node:fs'

/** Keeps the data in `dir` under another name, which is returned; undefined when there is nothing to keep. */
export function moveAside(dir: string): string | undefined {
  if (!existsSync(dir)) return undefined
  for (let number = 1; ; number++) {
    const aside = `${dir}.old-${number}`
    if (existsSync(aside)) continue
    renameSync(dir, aside)
    return aside
  }
}
