/* Runs an exported network on its test vectors, or on frames from a stream.
 *
 *   network VECTORS   every layer of every frame against VECTORS/<layer>.bin; stops at the first difference
 *   network -         frames from standard input, outputs to standard output
 *
 * Files hold whole numbers without gaps, frame after frame, the lowest byte first.
 */
#include <stdio.h>
#include <string.h>

#include "network.h"

#define LONGEST_PATH 4096

static FILE *expected[NETWORK_LAYERS];
static long frame;
static int differs;

static uint64_t stored(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    int place;
    for (place = 0; place < count; place++)
        value |= (uint64_t)bytes[place] << (8 * place);
    return value;
}

static uint64_t computed(const void *codes, int32_t place, int bytes)
{
    switch (bytes) {
    case 1:
        return ((const uint8_t *)codes)[place];
    case 2:
        return ((const uint16_t *)codes)[place];
    case 4:
        return ((const uint32_t *)codes)[place];
    default:
        return ((const uint64_t *)codes)[place];
    }
}

static void compare(int number, const void *codes)
{
    const network_layer *layer = &network_layers[number];
    uint8_t bytes[8];
    int32_t place;
    if (differs)
        return;
    for (place = 0; place < layer->count; place++) {
        const size_t width = (size_t)layer->bytes;
        if (fread(bytes, 1, width, expected[number]) != width) {
            fprintf(stderr, "%s.bin must hold %ld outputs per frame, but ends in frame %ld\n", layer->name,
                    (long)layer->count, frame);
            differs = 1;
            return;
        }
        if (stored(bytes, layer->bytes) != computed(codes, place, layer->bytes)) {
            fprintf(stderr, "frame %ld, layer %s, output %ld: expected code %llx, but computed %llx\n", frame,
                    layer->name, (long)place, (unsigned long long)stored(bytes, layer->bytes),
                    (unsigned long long)computed(codes, place, layer->bytes));
            differs = 1;
            return;
        }
    }
}

static int read_frame(FILE *from, network_input *input)
{
    uint8_t bytes[8];
    int32_t place;
    for (place = 0; place < NETWORK_INPUTS; place++) {
        if (fread(bytes, 1, sizeof *input, from) != sizeof *input)
            return 0;
        input[place] = (network_input)stored(bytes, (int)sizeof *input);
    }
    return 1;
}

static int write_frame(const network_output *output)
{
    uint8_t bytes[8];
    int32_t place;
    size_t byte;
    for (place = 0; place < NETWORK_OUTPUTS; place++) {
        const uint64_t code = computed(output, place, (int)sizeof *output);
        for (byte = 0; byte < sizeof *output; byte++)
            bytes[byte] = (uint8_t)(code >> (8 * byte));
        if (fwrite(bytes, 1, sizeof *output, stdout) != sizeof *output)
            return 0;
    }
    return 1;
}

static FILE *open_vectors(const char *folder, const char *name)
{
    char path[LONGEST_PATH];
    FILE *file;
    const int length = snprintf(path, sizeof path, "%s/%s.bin", folder, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return NULL;
    file = fopen(path, "rb");
    if (file == NULL)
        fprintf(stderr, "%s cannot be read\n", path);
    return file;
}

int main(int count, char **arguments)
{
    static network_input input[NETWORK_INPUTS];
    static network_output output[NETWORK_OUTPUTS];
    FILE *inputs = stdin;
    const int stream = count == 2 && strcmp(arguments[1], "-") == 0;
    int number;
    if (count != 2) {
        fprintf(stderr, "usage: network VECTORS, or network - for a stream\n");
        return 2;
    }
    if (!stream) {
        inputs = open_vectors(arguments[1], "input");
        for (number = 0; number < NETWORK_LAYERS && inputs != NULL; number++)
            if ((expected[number] = open_vectors(arguments[1], network_layers[number].name)) == NULL)
                return 2;
        if (inputs == NULL)
            return 2;
    }
    while (!differs && read_frame(inputs, input)) {
        network_run(input, output, stream ? NULL : compare);
        if (stream && !write_frame(output))
            return 2;
        frame++;
    }
    if (stream)
        return fflush(stdout) == 0 ? 0 : 2;
    if (differs)
        return 1;
    printf("%ld frames, %d layers: equal to the last bit\n", frame, NETWORK_LAYERS);
    return frame > 0 ? 0 : 1;
}
