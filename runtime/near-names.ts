export { nearNames } from '../actors/gateway/near-names.ts'
