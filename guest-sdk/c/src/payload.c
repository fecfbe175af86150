/* Between values and payloads, and other small things of the ABI. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

wit_string ms__string(const char *text) {
    return text ? (wit_string){(char *)text, strlen(text)} : (wit_string){0, 0};
}

wit_option_string ms__option_string(const char *text) {
    return (wit_option_string){text != 0, ms__string(text)};
}

const char *ms__c_string(wit_string text) {
    return ms__copy(text.ptr, text.len);
}

wit_duration ms__duration(int64_t ms) {
    if (ms < 0) ms = 0;
    return (wit_duration){(uint64_t)ms / 1000, (uint32_t)(ms % 1000) * 1000000};
}

wit_option_duration ms__option_duration(int64_t ms) {
    return (wit_option_duration){ms > 0, ms__duration(ms)};
}

int64_t ms__ms(wit_duration duration) {
    return (int64_t)(duration.seconds * 1000 + duration.nanoseconds / 1000000);
}

int64_t ms__option_ms(wit_option_duration duration) {
    return duration.some ? ms__ms(duration.value) : 0;
}

wit_option_retry_policy ms__option_retry_policy(const ms_retry_policy *policy, uint32_t max_attempts) {
    wit_option_retry_policy option = {0};
    if (!policy->initial_interval_ms && policy->backoff_coefficient == 0 && !policy->maximum_interval_ms &&
        !policy->maximum_attempts && !policy->non_retryable_error_types && !max_attempts)
        return option;
    option.some = 1;
    option.value.initial_interval = ms__option_duration(policy->initial_interval_ms);
    option.value.backoff_coefficient = policy->backoff_coefficient;
    option.value.maximum_interval = ms__option_duration(policy->maximum_interval_ms);
    option.value.maximum_attempts = max_attempts ? max_attempts : policy->maximum_attempts;
    uint32_t count = 0;
    while (policy->non_retryable_error_types && policy->non_retryable_error_types[count]) count++;
    wit_string *types = ms__alloc(count * sizeof *types);
    for (uint32_t i = 0; i < count; i++) types[i] = ms__string(policy->non_retryable_error_types[i]);
    option.value.non_retryable_error_types = (wit_strings){types, count};
    return option;
}

static const char ENCODING[] = "encoding";
static const char JSON[] = "json/plain";

wit_payload ms__payload_of(const char *encoding, const char *data, size_t length, const char *key, const char *value) {
    wit_metadatum *metadata = ms__alloc(2 * sizeof *metadata);
    metadata[0] = (wit_metadatum){ms__string(ENCODING), {(uint8_t *)encoding, strlen(encoding)}};
    if (key) metadata[1] = (wit_metadatum){ms__string(key), {(uint8_t *)value, strlen(value)}};
    return (wit_payload){{metadata, key ? 2 : 1}, {(uint8_t *)data, length}};
}

wit_payload ms__payload(const ms_json *value) {
    switch (ms_type_of(value)) {
    case MS_NULL: return ms__payload_of("binary/null", "", 0, 0, 0);
    case MS_BYTES: return ms__payload_of("binary/plain", value->text.ptr, value->text.length, 0, 0);
    default: {
        char *json = ms_write_json(value);
        return ms__payload_of(JSON, json, strlen(json), 0, 0);
    }
    }
}

wit_payloads ms__payloads(ms_args args) {
    wit_payload *payloads = ms__alloc(args.count * sizeof *payloads);
    for (size_t i = 0; i < args.count; i++) payloads[i] = ms__payload(args.values[i]);
    return (wit_payloads){payloads, args.count};
}

wit_payloads ms__one_payload(const ms_json *value) {
    wit_payload *payload = ms__alloc(sizeof *payload);
    *payload = ms__payload(value);
    return (wit_payloads){payload, 1};
}

/* What ms__payloads has allocated, once the host has read it. */
void ms__free_payloads(wit_payloads payloads) {
    for (uint32_t i = 0; i < payloads.len; i++) {
        wit_metadatum *metadata = payloads.ptr[i].metadata.ptr;
        if (metadata[0].value.ptr == (const uint8_t *)JSON) free(payloads.ptr[i].data.ptr);
        free(metadata);
    }
    free(payloads.ptr);
}

static bool is(wit_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && memcmp(bytes.ptr, text, bytes.len) == 0;
}

static ms_json *unreadable(char *problem) {
    ms_json *value = ms__new_json(MS_UNREADABLE);
    value->text.ptr = problem;
    value->text.length = strlen(problem);
    return value;
}

ms_json *ms__value(const wit_payload *payload) {
    const char *data = (const char *)payload->data.ptr;
    for (uint32_t i = 0; i < payload->metadata.len; i++) {
        const wit_metadatum *found = &payload->metadata.ptr[i];
        if (found->key.len != sizeof ENCODING - 1 || memcmp(found->key.ptr, ENCODING, found->key.len) != 0) continue;
        if (is(found->value, JSON) || is(found->value, "json/protobuf"))
            return ms_read_json(data, payload->data.len);
        if (is(found->value, "binary/null")) return ms_null();
        if (is(found->value, "binary/plain")) return ms_bytes(data, payload->data.len);
        return unreadable(ms__format(
            "its encoding is \"%.*s\", where one of json/plain, json/protobuf, binary/plain, binary/null is expected",
            (int)found->value.len, (const char *)found->value.ptr));
    }
    return unreadable(ms__format("its metadata has no `encoding`"));
}

static void free_payloads(wit_payloads payloads) {
    for (uint32_t i = 0; i < payloads.len; i++) {
        wit_payload *payload = &payloads.ptr[i];
        for (uint32_t j = 0; j < payload->metadata.len; j++) {
            if (payload->metadata.ptr[j].key.len) free(payload->metadata.ptr[j].key.ptr);
            if (payload->metadata.ptr[j].value.len) free(payload->metadata.ptr[j].value.ptr);
        }
        if (payload->metadata.len) free(payload->metadata.ptr);
        if (payload->data.len) free(payload->data.ptr);
    }
    if (payloads.len) free(payloads.ptr);
}

ms_args ms__args(wit_payloads payloads) {
    ms_args args = {payloads.len, ms__alloc(payloads.len * sizeof(ms_json *))};
    for (uint32_t i = 0; i < payloads.len; i++) args.values[i] = ms__value(&payloads.ptr[i]);
    free_payloads(payloads);
    return args;
}

ms_json *ms__first(ms_args args) {
    return args.count > 0 ? args.values[0] : ms_null();
}

wit_fields ms__fields(const ms_json *object) {
    size_t count = ms_type_of(object) == MS_OBJECT ? ms_count(object) : 0;
    wit_field *fields = ms__alloc(count * sizeof *fields);
    for (size_t i = 0; i < count; i++)
        fields[i] = (wit_field){ms__string(object->items.values[i]->key), ms__payload(object->items.values[i])};
    return (wit_fields){fields, count};
}

ms_json *ms__from_fields(wit_fields fields) {
    ms_json *object = ms_object();
    for (uint32_t i = 0; i < fields.len; i++)
        ms_set(object, ms__c_string(fields.ptr[i].key), ms__value(&fields.ptr[i].value));
    return object;
}
