import { type LoadWish, start } from './measure-load.ts'
import type { Setting, Side } from './scenario.ts'

const FILL_IN_FLIGHT = 256

/** Writes each key from `from` to `to` - 1 once. */
export async function fill(
  side: Side,
  setting: Setting,
  range: { readonly from: number; readonly to: number; readonly valueBytes?: number },
): Promise<void> {
  const wish: LoadWish = {
    in_flight: FILL_IN_FLIGHT,
    rate: null,
    fill_from: range.from,
    keys: range.to,
    value_bytes: range.valueBytes ?? setting.valueBytes,
    warmup_seconds: 0,
    seconds: null,
  }
  const load = await start(side, setting, wish)
  const { errors } = await load.report
  const kinds = Object.keys(errors)
  if (kinds.length > 0) throw new Error(`the store of ${side.name} could not be filled: ${kinds.join(', ')}`)
}
