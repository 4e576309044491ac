import type { Load } from '../load/load.ts'
import { start } from './measure-load.ts'
import type { Setting, Side } from './scenario.ts'

const FILL_IN_FLIGHT = 256

/** Writes each key from `fill_from` to `keys` - 1 once. */
export async function fill(
  side: Side,
  setting: Setting,
  wish: Partial<Load> & Pick<Load, 'fill_from' | 'keys'>,
): Promise<void> {
  const asFastAsPossible = { in_flight: FILL_IN_FLIGHT, rate: null, warmup_seconds: 0, seconds: null }
  const load = await start(side, setting, { ...asFastAsPossible, ...wish })
  const { errors } = await load.report
  const kinds = Object.keys(errors)
  if (kinds.length > 0) throw new Error(`the store of ${side.name} could not be filled: ${kinds.join(', ')}`)
}
