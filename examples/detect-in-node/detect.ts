// Finds objects in images and draws them: node detect.ts WEIGHTS IMAGES…
import { basename } from "node:path";
import { DFine, decodeImage, drawObjects, encodeImage, writeFileAtomic } from "dfine/node";

const [weights, ...files] = process.argv.slice(2);
if (!weights || files.length === 0) throw new Error("usage: node detect.ts WEIGHTS IMAGES…");

const detector = await DFine.fromPretrained(weights);
for (const file of files) {
  const image = await decodeImage(file);
  const [result] = await detector.detect(image, { threshold: 0.3 });
  for (const { label, score, box } of result!) {
    const corners = [box.xmin, box.ymin, box.xmax, box.ymax].map((edge) => edge.toFixed(1));
    console.log(`${file}: ${label} ${score.toFixed(2)} at ${corners.join(" ")}`);
  }
  const drawn = `found-${basename(file)}`;
  await writeFileAtomic(drawn, await encodeImage(drawObjects(image, result!.objects), drawn));
}
detector.dispose();
