import { useState } from 'preact/hooks'
import { Changes, type MakeChange } from './change.ts'

/** Makes the changes of this component. The same one, made again after an unknown outcome, is applied at most once. */
export function useChange(): MakeChange {
  return useState(() => new Changes())[0].make
}
