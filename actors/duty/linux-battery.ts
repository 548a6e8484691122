import type { Battery } from '../../machines/duty/index.ts'

/** Both reject for what is not there. */
export interface SysFiles {
  readText(path: string): Promise<string>
  list(path: string): Promise<string[]>
}

const root = '/sys/class/power_supply'
/** No machine has more; each costs a few reads a second. */
const suppliesMax = 16

/** The machine's batteries as one, by their share of the energy where they say it. */
export async function readLinuxBattery(files: SysFiles): Promise<Battery | undefined> {
  const names = await files.list(root).catch(() => [])
  const read = await Promise.all(
    names.slice(0, suppliesMax).map((name) => readSupply(files, `${root}/${name}`)),
  )
  const batteries = read.filter((supply) => supply !== undefined)
  const whole = batteries.reduce((sum, { weight }) => sum + weight, 0)
  if (whole <= 0) return undefined
  return {
    percent: batteries.reduce((sum, { percent, weight }) => sum + percent * weight, 0) / whole,
    isDischarging: batteries.some(({ isDischarging }) => isDischarging),
  }
}

async function readSupply(files: SysFiles, folder: string) {
  const field = async (name: string): Promise<string | undefined> =>
    (await files.readText(`${folder}/${name}`).catch(() => undefined))?.trim()
  if ((await field('type')) !== 'Battery') return undefined
  // A mouse and a headset have batteries too; theirs say so.
  if ((await field('scope')) === 'Device') return undefined
  const [capacity, status, energy, charge] = await Promise.all(
    ['capacity', 'status', 'energy_full', 'charge_full'].map(field),
  )
  const percent = Number(capacity)
  if (capacity === undefined || capacity === '' || !(percent >= 0 && percent <= 100)) return undefined
  const weight = Number(energy ?? charge)
  return { percent, isDischarging: status === 'Discharging', weight: weight > 0 ? weight : 1 }
}
