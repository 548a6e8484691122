import { createActor, toPromise } from 'xstate'
import { describe, expect, it } from 'vitest'
import { readLinuxBattery, type SysFiles } from '../../../actors/duty/linux-battery.ts'
import { createLookActor } from '../../../actors/duty/look.ts'
import { surroundings } from '../../../actors/duty/surroundings.port.ts'

type Supplies = Readonly<Record<string, Readonly<Record<string, string>>>>

/** `/sys/class/power_supply` of paper. */
const sys = (supplies: Supplies): SysFiles => ({
  list: () => Promise.resolve(Object.keys(supplies)),
  readText: (path) => {
    const [name = '', field = ''] = path.split('/').slice(-2)
    const text = supplies[name]?.[field]
    return text === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(`${text}\n`)
  },
})
const discharging = { type: 'Battery', status: 'Discharging' }

describe('the battery of a Linux machine', () => {
  it.each<[string, Supplies, object | undefined]>([
    ['none', {}, undefined],
    ['mains only', { AC: { type: 'Mains', online: '1' } }, undefined],
    [
      'one in use',
      { AC: { type: 'Mains' }, BAT0: { ...discharging, capacity: '42' } },
      { percent: 42, isDischarging: true },
    ],
    [
      'one at mains',
      { BAT0: { type: 'Battery', status: 'Charging', capacity: '7' } },
      { percent: 7, isDischarging: false },
    ],
    ['that of a mouse', { hid: { ...discharging, scope: 'Device', capacity: '3' } }, undefined],
    [
      'two of different size',
      {
        BAT0: { type: 'Battery', status: 'Unknown', capacity: '100', energy_full: '10000000' },
        BAT1: { ...discharging, capacity: '20', energy_full: '30000000' },
      },
      { percent: 40, isDischarging: true },
    ],
    [
      'two that tell no size',
      { BAT0: { ...discharging, capacity: '10' }, BAT1: { type: 'Battery', status: 'Full', capacity: '50' } },
      { percent: 30, isDischarging: true },
    ],
    [
      'one that tells nonsense',
      { BAT0: { ...discharging, capacity: 'full' }, BAT1: { ...discharging, capacity: '' } },
      undefined,
    ],
  ])('%s', async (_, supplies, expected) => {
    expect(await readLinuxBattery(sys(supplies))).toEqual(expected)
  })

  it('is none where there is no such folder', async () => {
    const files = { ...sys({}), list: () => Promise.reject(new Error('ENOENT')) }
    expect(await readLinuxBattery(files)).toBeUndefined()
  })

  it('is read on this machine without a failure', async () => {
    const battery = await surroundings.battery()
    expect(battery?.percent ?? 0).toBeGreaterThanOrEqual(0)
  })
})

it('a look says the local minute of the day and the battery', async () => {
  const battery = { percent: 50, isDischarging: true }
  const look = createActor(
    createLookActor({ now: () => new Date(2024, 6, 1, 22, 5, 59), battery: () => Promise.resolve(battery) }),
  ).start()
  expect(await toPromise(look)).toEqual({ minuteOfDay: 22 * 60 + 5, battery })
})
