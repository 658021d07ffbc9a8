// Records a run: node record.mjs PLAY FOLDER [ARGUMENT...]
import * as plays from "./support/plays.mjs";
import { World } from "./support/world.mjs";

const [play, folder, ...rest] = process.argv.slice(2);
const world = await World.start();
try {
  await world.scenario(() => plays[play](world, folder, ...rest.map(Number)));
} catch (error) {
  console.error(`${error.stack ?? error}\n${error.world ?? ""}`);
  process.exitCode = 1;
}
await world.stop();
